//! What the run process was started from, as far as only its supervisor knows it: whether other settings were read since.

use crate::conf::context::Context;
use crate::status::state::StateFile;

/// What is said of a process that was started in another context, or with another command line.
const SETTINGS: &str = "its settings were changed";

/// What the run process was started from.
#[derive(Debug, Default)]
pub(in crate::supervisor) struct Origin {
    /// The fingerprint of its context; `None` where an earlier supervisor has not left one.
    context: Option<Option<Box<str>>>,
    /// Its context is not the one of the next start.
    other_context: bool,
    /// Its command is not the one of the next start.
    other_command: bool,
    /// It cannot tell that it is ready in the way that the next one is to.
    other_telling: bool,
}

impl Origin {
    /// Notes a start in `context`.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub(in crate::supervisor) fn note_start(&mut self, context: &Context) {
        *self = Origin { context: Some(context.fingerprint().map(String::into_boxed_str)), ..Origin::default() };
    }

    /// Takes over what a predecessor has noted in `state`.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub(in crate::supervisor) fn restore(&mut self, state: &StateFile, context: &Context) {
        let fingerprint = state.memory.as_ref().map(|memory| memory.context.as_deref().map(Box::from));
        // A logger that the tree runs by itself has no context of its own: it was its command.
        let other_command = fingerprint == Some(None) && context.is_empty() && state.outdated.is_some();
        *self = Origin { context: fingerprint, other_command, ..Origin::default() };
        self.compare(context);
    }

    /// Notes that the next start is in `context`.
    // Own frame: see `sys::threads::thread`.
    #[inline(never)]
    pub(in crate::supervisor) fn compare(&mut self, context: &Context) {
        let Some(begun) = &self.context else { return };
        let now = context.fingerprint();
        self.other_context = begun.as_deref() != now.as_deref() && are_comparable(begun.as_deref(), now.as_deref());
    }

    /// Notes that the next start is of another command.
    pub(in crate::supervisor) fn note_other_command(&mut self) {
        self.other_command = self.context.is_some();
    }

    /// Notes whether the next start is told to say that it is ready in another way.
    pub(in crate::supervisor) fn note_telling(&mut self, is_other: bool) {
        self.other_telling = is_other;
    }

    /// Why the process is older than what it would be started from, also where its output is to go elsewhere.
    pub(in crate::supervisor) fn outdated(&self, other_output: bool) -> Option<&'static str> {
        (self.other_context || self.other_command || self.other_telling || other_output).then_some(SETTINGS)
    }

    /// The fingerprint, for the next supervisor.
    pub(in crate::supervisor) fn fingerprint(&self) -> Option<&str> {
        self.context.as_ref().and_then(|fingerprint| fingerprint.as_deref())
    }
}

/// Whether two fingerprints are of the same version of this program. Where there is none, the context is nobody's own.
fn are_comparable(one: Option<&str>, other: Option<&str>) -> bool {
    let version = |fingerprint: &str| fingerprint.split(' ').next().map(str::to_owned);
    match (one, other) {
        (Some(one), Some(other)) => version(one) == version(other),
        (None, _) | (_, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::state::Memory;

    fn nice(nice: i32) -> Context {
        Context { nice: Some(nice), ..Context::default() }
    }

    /// What a supervisor leaves of `origin`.
    fn left(origin: &Origin) -> StateFile {
        let memory = Memory { context: origin.fingerprint().map(str::to_string), ..Memory::default() };
        StateFile { memory: Some(memory), outdated: origin.outdated(false).map(str::to_string), ..StateFile::default() }
    }

    #[test]
    fn other_settings_are_told_until_they_are_as_before() {
        let mut origin = Origin::default();
        origin.note_start(&nice(3));
        for (context, outdated) in [(nice(3), false), (nice(4), true), (Context::default(), true), (nice(3), false)] {
            origin.compare(&context);
            assert_eq!(origin.outdated(false).is_some(), outdated, "{context:?}");
        }
        origin.note_other_command();
        assert!(origin.outdated(false).is_some());
        origin.note_start(&nice(3));
        assert!(origin.outdated(false).is_none());
    }

    #[test]
    fn the_next_supervisor_knows_it_too() {
        let mut origin = Origin::default();
        origin.note_start(&nice(3));
        let mut next = Origin::default();
        next.restore(&left(&origin), &nice(3));
        assert!(next.outdated(false).is_none());
        next.restore(&left(&origin), &nice(4));
        assert!(next.outdated(false).is_some());
        // One of another version, or that has left no fingerprint, says nothing.
        let mut state = left(&origin);
        state.memory.as_mut().unwrap().context = Some("0.0.1 0000000000000000".into());
        next.restore(&state, &nice(4));
        assert!(next.outdated(false).is_none());
        next.restore(&StateFile::default(), &nice(4));
        assert!(next.outdated(false).is_none());
        origin.note_start(&Context::default());
        origin.note_other_command();
        next.restore(&left(&origin), &Context::default());
        assert!(next.outdated(false).is_some());
    }
}
