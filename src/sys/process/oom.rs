//! Whom the kernel ends when memory is short: not the tree, which holds all others and is the smallest of them.

use crate::sys::context::Decimal;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// The kernel's file for this process.
const FILE: &str = "/proc/self/oom_score_adj";

/// Ours while we are protected: the kernel takes every other process first, and still has somebody to take where there is none.
const OURS: i16 = -999;

/// What we had when we began.
static BEFORE: OnceLock<Option<Decimal>> = OnceLock::new();

/// Whether ours is another than that, and children have to be given theirs back.
static IS_PROTECTED: AtomicBool = AtomicBool::new(false);

/// Has the kernel spare this process, where we may ask for it (`CAP_SYS_RESOURCE`). Children get back what we had.
pub fn protect() {
    let before = BEFORE.get_or_init(|| {
        let score: i16 = std::fs::read_to_string(FILE).ok()?.trim().parse().ok()?;
        (score > OURS).then(|| Decimal::new(score))
    });
    // Before the first child of a protected one: what is already as we had it does no harm to write again.
    if before.is_some() && std::fs::write(FILE, OURS.to_string()).is_ok() {
        IS_PROTECTED.store(true, Ordering::Relaxed);
    }
}

/// Takes that back, for a program that takes our place and has to find what we had.
pub fn expose() {
    if let Some(before) = for_children()
        && std::fs::write(FILE, before.text()).is_ok()
    {
        IS_PROTECTED.store(false, Ordering::Relaxed);
    }
}

/// What children have to write, if ours is another.
pub(super) fn for_children() -> Option<&'static Decimal> {
    if IS_PROTECTED.load(Ordering::Relaxed) { BEFORE.get()?.as_ref() } else { None }
}
