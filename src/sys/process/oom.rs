//! What the OOM killer is told: to spare the tree, which holds all others and is the smallest of them.

use crate::sys::context::Decimal;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// The score of this process (proc_pid_oom_score_adj(5)).
const FILE: &str = "/proc/self/oom_score_adj";

/// Our score while we are protected: the OOM killer takes every other process first, and us where there is none. With -1000, it
/// could not.
const PROTECTED: i16 = -999;

/// The score that this program was started with.
static BEFORE: OnceLock<Option<Decimal>> = OnceLock::new();

/// Whether ours differs from that, so that children have to set it back.
static IS_PROTECTED: AtomicBool = AtomicBool::new(false);

/// Has the OOM killer spare this process, where we may ask for it (`CAP_SYS_RESOURCE`). Children get the earlier score.
pub fn protect() {
    let before = BEFORE.get_or_init(|| {
        let score: i16 = std::fs::read_to_string(FILE).ok()?.trim().parse().ok()?;
        (score > PROTECTED).then(|| Decimal::new(score))
    });
    // Before the first child of a protected one: what is already as we had it does no harm to write again.
    if before.is_some() && std::fs::write(FILE, PROTECTED.to_string()).is_ok() {
        IS_PROTECTED.store(true, Ordering::Relaxed);
    }
}

/// Sets the earlier score again, for the program that replaces this one and has to find it.
pub fn expose() {
    if let Some(before) = for_children()
        && std::fs::write(FILE, before.text()).is_ok()
    {
        IS_PROTECTED.store(false, Ordering::Relaxed);
    }
}

/// The score that children have to set, if ours differs.
pub(super) fn for_children() -> Option<&'static Decimal> {
    if IS_PROTECTED.load(Ordering::Relaxed) { BEFORE.get()?.as_ref() } else { None }
}
