//! After an alarm: who is told that all is well again, and when.

use super::story::{Story, policy};
use crate::conf::policy::Policy;
use crate::machine::Event;

fn story(alarm_recovery: bool) -> Story {
    Story::up(Policy { alarm_recovery, ..policy() })
}

/// Ends once, and runs again.
fn fall(story: &mut Story) {
    assert_eq!(story.wait(2.0).exits(1), "alarm(Exited) finish");
    story.no_finish();
    story.started();
}

#[test]
fn a_recovery_is_told_once_and_only_after_an_alarm() {
    let mut never_ill = story(true);
    assert_eq!(never_ill.machine.deadline(), None);
    assert_eq!(never_ill.wait(120.0).step(Event::DeadlineReached), "");
    let mut told = story(true);
    fall(&mut told);
    assert_eq!(told.wait(59.0).step(Event::DeadlineReached), "");
    assert_eq!(told.wait(2.0).step(Event::DeadlineReached), "alarm(Recovered)");
    assert_eq!(told.wait(120.0).step(Event::DeadlineReached), "");
    assert_eq!(told.machine.deadline(), None);
}

#[test]
fn with_alarms_off_nothing_is_told() {
    let mut off = story(true);
    fall(&mut off);
    off.send('s');
    assert_eq!(off.wait(61.0).step(Event::DeadlineReached), "");
    off.send('n');
    assert_eq!(off.machine.deadline(), None);
}

#[test]
fn who_did_not_ask_for_it_is_not_woken() {
    let mut silent = story(false);
    fall(&mut silent);
    assert_eq!(silent.machine.deadline(), None);
    assert_eq!(silent.wait(120.0).step(Event::DeadlineReached), "");
}
