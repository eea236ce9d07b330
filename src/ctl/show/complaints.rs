//! What is wrong in the settings: in the shared file, and in those of service directories.

use crate::conf::own::OwnFile;
use crate::conf::relations::lint::{self, Known};
use crate::conf::{Complaint, Config};
use crate::ctl::root::Module;
use crate::ctl::service::context;
use crate::ctl::snapshot::{Snapshot, Supervised};

/// All that is wrong: in `shared`, in sections that name none of the modules, in the modules' own files, and in how they
/// stand to each other.
pub fn of_all(shared: &Config, modules: &[Module]) -> Vec<Complaint> {
    let mut all = shared.complaints().to_vec();
    let names: Vec<String> = modules.iter().map(Module::json).collect();
    // Where there is no module, it cannot be told which sections are none.
    if !names.is_empty() {
        all.extend(shared.nameless_sections(&names));
        all.sort_by_key(|complaint| complaint.line);
    }
    all.extend(modules.iter().filter_map(|module| Snapshot::read(module).ok()).flat_map(|snapshot| own(&snapshot)));
    // Loggers are outside of the order.
    let services = modules.iter().filter(|module| module.logged().is_none());
    let known: Vec<Known> = services.map(|module| Known { name: module.json(), own: own_file(module) }).collect();
    all.extend(lint::complaints(shared, &known));
    all
}

/// The file that the module's service directory brings along, if it can be read.
fn own_file(module: &Module) -> Option<OwnFile> {
    let snapshot = Snapshot::read(module).ok().filter(|snapshot| snapshot.supervised != Supervised::Removed)?;
    context::own_file(&snapshot).ok().flatten()
}

/// What is wrong for one module: in its section, and in its own file.
pub fn of_module(shared: &Config, module: &Module) -> Vec<Complaint> {
    let mut all: Vec<Complaint> = shared.complaints_about(&module.json()).cloned().collect();
    all.extend(Snapshot::read(module).iter().flat_map(own));
    all
}

/// What is wrong in the file that the service directory brings along.
fn own(snapshot: &Snapshot) -> Vec<Complaint> {
    if snapshot.supervised == Supervised::Removed {
        return Vec::new();
    }
    match context::own_file(snapshot) {
        Ok(own) => own.as_ref().map(OwnFile::complaints).unwrap_or_default().to_vec(),
        Err(complaint) => vec![complaint],
    }
}
