//! What a module needs and who needs it, as rows of its page.

use crate::conf::relations::Id;
use crate::ctl::format;
use crate::ctl::order::known::Known;

/// A module's name, and the state that it was in.
type Named = (String, String);

/// Who has to do with a module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relations {
    needs: Vec<Named>,
    missing: Vec<String>,
    after: Vec<Named>,
    restart_with: Vec<Named>,
    /// Those that need it.
    pub needed_by: Vec<Named>,
    tags: Vec<String>,
}

impl Relations {
    /// Those of the module at `id`.
    pub fn of(known: &Known, id: Id) -> Relations {
        let links = known.links(id);
        let named = |ids: &[Id]| -> Vec<Named> {
            ids.iter().map(|id| (known.module(*id).json(), known.snapshot(*id).state_name())).collect()
        };
        Relations {
            needs: named(&links.needs),
            missing: links.missing.clone(),
            after: named(&links.after),
            restart_with: named(&links.restart_with),
            needed_by: named(&links.needed_by),
            tags: known.snapshot(id).state.tags.clone(),
        }
    }

    /// Keys and values, of what there is.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, String)> {
        let list = |all: &[Named]| -> Vec<String> {
            all.iter().map(|(name, state)| format!("{} ({state})", format::name(name.as_ref()))).collect()
        };
        let missing = self.missing.iter().map(|name| format!("{} (there is none)", format::text(name)));
        let rows = [
            ("needs", list(&self.needs).into_iter().chain(missing).collect()),
            ("after", list(&self.after)),
            ("restarts with", list(&self.restart_with)),
            ("needed by", list(&self.needed_by)),
            ("tags", self.tags.iter().map(|tag| format::text(tag)).collect::<Vec<_>>()),
        ];
        rows.into_iter().filter(|(_, values)| !values.is_empty()).map(|(key, values)| (key, values.join(", ")))
    }
}
