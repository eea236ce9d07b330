//! What is wrong in the settings: in the shared file, and in those of service directories.

use crate::conf::own::OwnFile;
use crate::conf::{Complaint, Config};
use crate::ctl::context;
use crate::ctl::root::Module;
use crate::ctl::snapshot::{Snapshot, Supervised};

/// All that is wrong: in `shared`, in sections that name none of the modules, and in the modules' own files.
pub fn of_all(shared: &Config, modules: &[Module]) -> Vec<Complaint> {
    let mut all = shared.complaints().to_vec();
    let names: Vec<String> = modules.iter().map(Module::json).collect();
    // Where there is no module, it cannot be told which sections are none.
    if !names.is_empty() {
        all.extend(shared.nameless_sections(&names));
        all.sort_by_key(|complaint| complaint.line);
    }
    all.extend(modules.iter().filter_map(|module| Snapshot::read(module).ok()).flat_map(|snapshot| own(&snapshot)));
    all
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
