use super::*;

fn at(after: f64) -> Mono {
    Mono(Duration::from_secs_f64(1000.0 + after))
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn rules(ready: ReadyWhen) -> HealthRules {
    HealthRules { ready, ..HealthRules::default() }
}

/// Looks at it whenever it is due, and says each time how it is; when the looks began, until `end`.
fn looks(rules: &HealthRules, mut passes: impl FnMut(u32) -> bool, end: f64) -> (Vec<f64>, Health) {
    let mut health = Health::begin(rules, at(0.0));
    let mut began = Vec::new();
    while let Some(now) = health.deadline().filter(|deadline| *deadline <= at(end)) {
        if health.due(rules, now) == HealthStep::RunCheck {
            began.push((now.since(at(0.0)).as_secs_f64() * 10.0).round() / 10.0);
            health.checked(rules, passes(began.len() as u32), now);
        }
    }
    (began, health)
}

#[test]
fn it_is_ready_at_once_when_told_or_when_it_has_lived_long_enough() {
    assert_eq!(Health::begin(&rules(ReadyWhen::Started), at(0.0)).fitness(), Fitness::Ready);
    let told = rules(ReadyWhen::Told);
    let mut health = Health::begin(&told, at(0.0));
    assert_eq!((health.fitness(), health.deadline()), (Fitness::Starting, None));
    assert_eq!(health.notified(&told, Notice::Ready, at(5.0)), HealthStep::Ready);
    assert_eq!(health.notified(&told, Notice::Ready, at(6.0)), HealthStep::Nothing);
    let lived = rules(ReadyWhen::Lived(seconds(2.0)));
    let mut health = Health::begin(&lived, at(0.0));
    assert_eq!(health.deadline(), Some(at(2.0)));
    assert_eq!(health.notified(&lived, Notice::Ready, at(1.0)), HealthStep::Nothing);
    assert_eq!(health.due(&lived, at(1.9)), HealthStep::Nothing);
    assert_eq!(health.due(&lived, at(2.0)), HealthStep::Ready);
    assert_eq!((health.fitness(), health.deadline()), (Fitness::Ready, None));
}

#[test]
fn it_is_looked_at_at_growing_distances_and_never_again_once_that_went_well() {
    let checked = rules(ReadyWhen::Checked);
    let (began, health) = looks(&checked, |number| number == 7, 100.0);
    assert_eq!(began, [0.1, 0.2, 0.4, 0.8, 1.6, 2.6, 3.6]);
    assert_eq!((health.fitness(), health.deadline()), (Fitness::Ready, None));
}

#[test]
fn failures_in_a_row_make_it_unhealthy_and_one_success_well_again() {
    let checked = HealthRules { check_interval: Some(seconds(10.0)), ..rules(ReadyWhen::Checked) };
    let well = |number: u32| !matches!(number, 2 | 3 | 5..=8);
    let (began, health) = looks(&checked, well, 75.0);
    assert_eq!(began, [0.1, 10.1, 20.1, 30.1, 40.1, 50.1, 60.1, 70.1]);
    assert_eq!(health.fitness(), Fitness::Unhealthy);
    let (_, health) = looks(&checked, well, 85.0);
    assert_eq!(health.fitness(), Fitness::Ready);
    let mut health = health;
    let mut steps = Vec::new();
    for _ in 0..4 {
        let now = health.deadline().unwrap();
        assert_eq!(health.due(&checked, now), HealthStep::RunCheck);
        steps.push(health.checked(&checked, false, now));
    }
    assert_eq!(steps, [HealthStep::Nothing, HealthStep::Nothing, HealthStep::Unhealthy(3), HealthStep::Nothing]);
}

#[test]
fn a_look_that_takes_too_long_is_killed_and_has_failed_whatever_it_says() {
    let checked = rules(ReadyWhen::Checked);
    let mut health = Health::begin(&checked, at(0.0));
    assert_eq!(health.due(&checked, at(0.1)), HealthStep::RunCheck);
    assert_eq!(health.due(&checked, at(3.0)), HealthStep::Nothing);
    assert_eq!(health.due(&checked, at(3.1)), HealthStep::KillCheck);
    assert_eq!(health.deadline(), None);
    assert_eq!(health.checked(&checked, true, at(3.2)), HealthStep::Nothing);
    assert_eq!(health.deadline(), Some(at(3.3)));
    assert_eq!(health.checked(&checked, true, at(3.2)), HealthStep::Nothing, "nobody looks");
}

#[test]
fn not_ready_in_time_unless_we_stood_still() {
    let told = HealthRules { ready_timeout: Some(seconds(10.0)), ..rules(ReadyWhen::Told) };
    let mut health = Health::begin(&told, at(0.0));
    assert_eq!(health.due(&told, at(10.0)), HealthStep::ReadyTimeout(seconds(10.0)));
    let mut health = Health::begin(&told, at(0.0));
    assert_eq!(health.due(&told, at(13.0)), HealthStep::WokeLate);
    assert_eq!(health.deadline(), Some(at(23.0)));
    assert_eq!(health.notified(&told, Notice::Extend(seconds(100.0)), at(14.0)), HealthStep::Nothing);
    assert_eq!(health.notified(&told, Notice::Extend(seconds(1.0)), at(15.0)), HealthStep::Nothing);
    assert_eq!(health.deadline(), Some(at(114.0)));
}

#[test]
fn the_watchdog_bites_unless_we_stood_still() {
    let told = HealthRules { watchdog: Some(seconds(4.0)), ..rules(ReadyWhen::Told) };
    let mut health = Health::begin(&told, at(0.0));
    assert_eq!(health.notified(&told, Notice::Alive, at(3.0)), HealthStep::Nothing);
    assert_eq!(health.due(&told, at(6.9)), HealthStep::Nothing);
    assert_eq!(health.due(&told, at(8.1)), HealthStep::WokeLate);
    assert_eq!(health.due(&told, at(12.1)), HealthStep::WatchdogTimeout(Some(seconds(4.0))));
    let mut health = Health::begin(&told, at(0.0));
    health.notified(&told, Notice::WatchdogInterval(seconds(20.0)), at(1.0));
    assert_eq!(health.deadline(), Some(at(21.0)));
    assert_eq!(health.notified(&told, Notice::Unwell, at(2.0)), HealthStep::WatchdogTimeout(None));
}

#[test]
fn a_reload_ends_with_ready() {
    let told = rules(ReadyWhen::Told);
    let mut health = Health::begin(&told, at(0.0));
    health.notified(&told, Notice::Reloading, at(0.0));
    assert_eq!(health.fitness(), Fitness::Starting, "it is not ready yet");
    health.notified(&told, Notice::Ready, at(0.0));
    health.notified(&told, Notice::Reloading, at(0.0));
    assert_eq!(health.fitness(), Fitness::Reloading);
    assert_eq!(health.notified(&told, Notice::Ready, at(0.0)), HealthStep::Recovered);
    assert_eq!(health.fitness(), Fitness::Ready);
}

#[test]
fn one_that_is_going_to_end_is_ready_no_longer() {
    let told = HealthRules { ready_timeout: Some(seconds(5.0)), ..rules(ReadyWhen::Told) };
    let mut health = Health::begin(&told, at(0.0));
    health.notified(&told, Notice::Ready, at(1.0));
    assert_eq!(health.notified(&told, Notice::Stopping, at(2.0)), HealthStep::Nothing);
    assert_eq!((health.fitness(), health.deadline()), (Fitness::Starting, None));
    assert_eq!(health.notified(&told, Notice::Ready, at(3.0)), HealthStep::Ready, "it has thought better of it");
}

#[test]
fn a_later_supervisor_goes_on_where_this_one_was() {
    let checked = HealthRules {
        check_interval: Some(seconds(10.0)),
        ready_timeout: Some(seconds(5.0)),
        ..rules(ReadyWhen::Checked)
    };
    let health = Health::resume(&checked, Fitness::Ready, at(0.0), at(100.0));
    assert_eq!((health.fitness(), health.deadline()), (Fitness::Ready, Some(at(110.0))));
    let mut health = Health::resume(&checked, Fitness::Starting, at(0.0), at(100.0));
    assert_eq!(health.due(&checked, at(100.0)), HealthStep::RunCheck, "it is looked at before its time is over");
    assert_eq!(health.checked(&checked, true, at(100.05)), HealthStep::Ready);
}

#[test]
fn there_is_always_an_end_to_what_is_due() {
    let all = HealthRules {
        ready_timeout: Some(seconds(5.0)),
        check_interval: Some(seconds(1.0)),
        watchdog: Some(seconds(2.0)),
        ..rules(ReadyWhen::Checked)
    };
    for late in [0.0, 0.5, 100.0] {
        let mut health = Health::begin(&all, at(0.0));
        for _ in 0..50 {
            let Some(deadline) = health.deadline() else { break };
            let now = deadline + seconds(late);
            let before = health;
            health.due(&all, now);
            assert_ne!(before, health, "what is due changes something: {late}");
        }
    }
}

#[test]
fn after_a_pause_limits_begin_anew_and_looks_that_failed_meanwhile_prove_nothing() {
    let rules = HealthRules {
        check_interval: Some(seconds(2.0)),
        check_failures: 1,
        watchdog: Some(seconds(5.0)),
        ..rules(ReadyWhen::Started)
    };
    let mut health = Health::begin(&rules, at(0.0));
    assert_eq!(health.due(&rules, at(2.0)), HealthStep::RunCheck);
    health.checked_in_vain(&rules, at(3.0));
    assert_eq!((health.fitness(), health.deadline()), (Fitness::Ready, Some(at(5.0))));
    health.go_on(&rules, at(60.0));
    assert_eq!(health.due(&rules, at(60.0)), HealthStep::Nothing);
    assert_eq!(health.due(&rules, at(60.2)), HealthStep::RunCheck);
    // The look goes on over a second pause.
    health.go_on(&rules, at(90.0));
    assert_eq!(health.due(&rules, at(92.9)), HealthStep::Nothing);
    assert_eq!(health.checked(&rules, true, at(92.9)), HealthStep::Nothing);
    assert_eq!(health.due(&rules, at(95.0)), HealthStep::WatchdogTimeout(Some(seconds(5.0))));

    let told = HealthRules { ready: ReadyWhen::Told, ready_timeout: Some(seconds(4.0)), ..HealthRules::default() };
    let mut health = Health::begin(&told, at(0.0));
    health.go_on(&told, at(10.0));
    assert_eq!((health.due(&told, at(13.9)), health.deadline()), (HealthStep::Nothing, Some(at(14.0))));
}

#[test]
fn a_limit_that_is_shorter_than_a_wakeup_takes_ends_all_the_same() {
    let short = seconds(0.000_001);
    let told = HealthRules { ready_timeout: Some(short), watchdog: Some(short), ..rules(ReadyWhen::Told) };
    let mut health = Health::begin(&told, at(0.0));
    assert_eq!(health.due(&told, at(0.05)), HealthStep::ReadyTimeout(short));
    assert_eq!(health.due(&told, at(0.05)), HealthStep::WatchdogTimeout(Some(short)));
    let checked = HealthRules { check_timeout: short, ..rules(ReadyWhen::Checked) };
    let mut health = Health::begin(&checked, at(0.0));
    assert_eq!(health.due(&checked, at(0.1)), HealthStep::RunCheck);
    assert_eq!(health.due(&checked, at(0.15)), HealthStep::KillCheck);
}
