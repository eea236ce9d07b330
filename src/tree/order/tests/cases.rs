//! Rules, one by one.

use super::world::{Doing, World, relations};

fn started(world: &mut World) {
    let names: Vec<String> = world.members.keys().cloned().collect();
    names.iter().for_each(|name| world.start(name));
}

fn all_up(world: &mut World) {
    started(world);
    world.settle();
}

fn up(world: &World) -> Vec<&str> {
    world.members.iter().filter(|(_, member)| member.doing == Doing::Runs).map(|(name, _)| name.as_str()).collect()
}

#[test]
fn one_that_needs_another_starts_when_that_is_ready() {
    let mut world = World::of(&[("web", "db"), ("db", "")]);
    started(&mut world);
    assert_eq!(up(&world), ["db"]);
    assert_eq!(world.hold("web"), "needs db, which is not ready yet");
    world.ready("db");
    assert!(world.woken.contains(&world.members["web"].id));
    world.settle();
    assert_eq!(up(&world), ["db", "web"]);
}

#[test]
fn a_stop_takes_along_those_that_need_it_first_and_they_come_back_with_it() {
    let mut world = World::of(&[("app", "web"), ("db", ""), ("web", "db"), ("other", "")]);
    all_up(&mut world);
    world.stop("db");
    assert_eq!((world.doing("db"), world.doing("web")), (Doing::WaitsToStop, Doing::Runs));
    world.look(world.members["web"].id);
    assert_eq!((world.doing("web"), world.doing("app")), (Doing::WaitsToStop, Doing::Runs));
    world.look(world.members["app"].id);
    assert_eq!(world.doing("app"), Doing::Ends);
    world.end("app", false);
    assert_eq!(world.doing("app"), Doing::Waits);
    world.settle();
    assert_eq!(up(&world), ["other"]);
    assert_eq!(world.hold("web"), "needs db, which is down");
    world.start("db");
    world.settle();
    assert_eq!(up(&world), ["app", "db", "other", "web"]);
}

#[test]
fn a_crash_changes_nothing_for_those_who_run_and_holds_those_who_do_not() {
    let mut world = World::of(&[("db", ""), ("web", "db")]);
    all_up(&mut world);
    world.end("db", true);
    world.settle();
    assert_eq!(up(&world), ["web"]);
    world.end("web", false);
    world.settle();
    assert_eq!(world.hold("web"), "needs db, which is failed");
    world.start("db");
    world.settle();
    assert_eq!(up(&world), ["db", "web"]);
}

#[test]
fn one_that_comes_after_waits_for_what_is_on_its_way_only() {
    let mut world = World::default();
    world.add("app", relations("", "cache nobody", "", ""), false);
    world.add("cache", relations("", "", "", ""), false);
    // It is known, and nobody has said yet that it is not wanted.
    world.start("app");
    assert_eq!(world.hold("app"), "after cache, which is not ready yet");
    world.stop("cache");
    world.settle();
    assert_eq!(up(&world), ["app"]);
    world.stop("app");
    world.settle();
    world.start("cache");
    world.start("app");
    assert_eq!(world.doing("app"), Doing::Waits);
    world.end("cache", true);
    world.settle();
    assert_eq!(up(&world), ["app"]);
    // A stop of what it comes after does not concern it.
    world.start("cache");
    world.settle();
    world.stop("cache");
    world.settle();
    assert_eq!(up(&world), ["app"]);
}

#[test]
fn at_the_end_those_that_come_after_stop_before() {
    let mut world = World::default();
    world.add("app", relations("", "cache", "", ""), false);
    world.add("cache", relations("", "", "", ""), false);
    world.add("log", relations("", "", "", ""), false);
    all_up(&mut world);
    world.order.end();
    ["cache", "log", "app"].iter().for_each(|name| world.stop(name));
    assert_eq!((world.doing("cache"), world.doing("log")), (Doing::WaitsToStop, Doing::Ends));
    world.end("app", false);
    world.settle();
    assert!(up(&world).is_empty());
}

#[test]
fn a_one_shot_is_needed_done_and_its_stop_is_a_stop() {
    let mut world = World::default();
    world.add("migrate", relations("", "", "", ""), true);
    world.add("web", relations("migrate", "", "", ""), false);
    all_up(&mut world);
    assert_eq!((world.doing("migrate"), world.doing("web")), (Doing::Done, Doing::Runs));
    // It runs again: that is not a stop.
    world.start("migrate");
    assert_eq!((world.doing("migrate"), world.doing("web")), (Doing::Runs, Doing::Runs));
    world.settle();
    world.stop("migrate");
    world.settle();
    assert_eq!(world.doing("web"), Doing::Waits);
}

#[test]
fn a_circle_never_starts_and_is_told_by_those_who_are_in_it() {
    let mut world = World::of(&[("a", "b"), ("b", "c"), ("c", "a"), ("d", "a"), ("e", ""), ("f", "f")]);
    all_up(&mut world);
    assert_eq!(up(&world), ["e"]);
    assert_eq!(world.hold("b"), "in a circle: b needs c needs a needs b");
    assert_eq!(world.hold("d"), "needs a, which is not ready yet");
    assert_eq!(world.order.circles(), ["a needs b needs c needs a", "f needs f"]);
    world.change("c", relations("", "a", "", ""));
    assert_eq!(world.hold("c"), "in a circle: c after a needs b needs c");
    world.change("c", relations("", "", "", ""));
    world.settle();
    assert_eq!(up(&world), ["a", "b", "c", "d", "e"]);
}

#[test]
fn those_who_run_in_a_circle_stop_side_by_side() {
    let mut world = World::of(&[("a", "b"), ("b", "")]);
    all_up(&mut world);
    world.change("b", relations("a", "", "", ""));
    world.stop("b");
    assert_eq!((world.doing("a"), world.doing("b")), (Doing::Runs, Doing::Ends));
    world.look(world.members["a"].id);
    assert_eq!(world.doing("a"), Doing::Ends, "neither waits for the other");
    world.settle();
    assert!(up(&world).is_empty());
}

#[test]
fn a_name_may_come_later_go_and_come_back() {
    let mut world = World::of(&[("web", "db @cache")]);
    all_up(&mut world);
    assert_eq!(world.hold("web"), "needs db, which there is not");
    world.add("db", relations("", "", "", ""), false);
    world.start("db");
    world.settle();
    assert_eq!(world.hold("web"), "needs @cache, which there is not");
    world.add("redis", relations("", "", "", "cache"), false);
    world.start("redis");
    world.settle();
    assert_eq!(up(&world), ["db", "redis", "web"]);
    world.stop("db");
    world.settle();
    world.remove("db");
    world.settle();
    assert_eq!(world.hold("web"), "needs db, which there is not");
    world.add("db", relations("", "", "", ""), false);
    world.start("db");
    world.settle();
    assert_eq!(up(&world), ["db", "redis", "web"]);
}

#[test]
fn a_tag_means_the_others_who_have_it() {
    let mut world = World::default();
    world.add("a", relations("", "", "", "web"), false);
    world.add("b", relations("", "", "", "web"), false);
    world.add("c", relations("@web", "", "", "web"), false);
    started(&mut world);
    assert_eq!(up(&world), ["a", "b"]);
    world.ready("a");
    world.woken.clear();
    assert_eq!(world.hold("c"), "needs b, which is not ready yet");
    world.settle();
    assert_eq!(up(&world), ["a", "b", "c"]);
}

#[test]
fn what_global_needs_is_needed_by_all_but_itself_and_what_it_needs() {
    let mut world = World::of(&[("app", ""), ("init", "disk"), ("disk", "udev"), ("udev", "")]);
    world.set_global("init");
    started(&mut world);
    assert_eq!(up(&world), ["udev"]);
    assert_eq!(world.hold("app"), "needs init, which is not ready yet");
    world.settle();
    assert_eq!(up(&world), ["app", "disk", "init", "udev"]);
    assert!(world.order.circles().is_empty());
    world.stop("udev");
    world.settle();
    assert!(up(&world).is_empty());
}

#[test]
fn one_is_restarted_with_another_when_that_is_replaced_and_not_when_it_first_starts() {
    let mut world = World::default();
    world.add("sound", relations("", "", "", ""), false);
    world.add("panel", relations("", "", "sound", ""), false);
    let starts = |world: &World| world.members["panel"].starts;
    world.start("panel");
    world.settle();
    world.start("sound");
    world.settle();
    assert_eq!(starts(&world), 1, "it was there before");
    world.end("sound", false);
    world.settle();
    assert_eq!(starts(&world), 2);
    // It started while the other was away: the other's return replaces nothing that it knew.
    world.stop("sound");
    world.settle();
    world.end("panel", false);
    world.settle();
    assert_eq!(starts(&world), 3);
    world.start("sound");
    world.settle();
    assert_eq!(starts(&world), 3);
}

#[test]
fn a_circle_of_restarts_does_not_begin() {
    let mut world = World::default();
    world.add("a", relations("", "", "b", ""), false);
    world.add("b", relations("a", "", "", ""), false);
    all_up(&mut world);
    assert!(up(&world).is_empty());
    assert_eq!(world.hold("a"), "in a circle: a restart_with b needs a");
    // The order of starts alone is none.
    world.change("b", relations("", "a", "", ""));
    world.settle();
    assert_eq!(up(&world), ["a", "b"]);
}

#[test]
fn who_was_replaced_while_no_tree_lived_is_known() {
    let mut world = World::default();
    world.add("sound", relations("", "", "", ""), false);
    world.add("panel", relations("", "", "sound", ""), false);
    let (sound, panel) = (world.members["sound"].id, world.members["panel"].id);
    world.order.report(panel, crate::machine::standing::Standing::Ready);
    let member = world.members.get_mut("panel").expect("known");
    (member.doing, member.ready, member.exempt) = (Doing::Runs, true, true);
    world.order.has_run_before(sound);
    world.start("sound");
    world.settle();
    assert_eq!(world.members["panel"].starts, 1, "restarted");
}

#[test]
fn adopted_ones_run_on_whatever_they_need() {
    let mut world = World::of(&[("web", "db"), ("db", "")]);
    world.order.report(world.members["web"].id, crate::machine::standing::Standing::Ready);
    let member = world.members.get_mut("web").expect("known");
    (member.doing, member.ready, member.exempt) = (Doing::Runs, true, true);
    world.stop("db");
    world.settle();
    assert_eq!(up(&world), ["web"]);
}

#[test]
fn a_thread_that_begins_anew_and_stops_no_longer_is_waited_for_no_longer() {
    let mut world = World::of(&[("web", "db"), ("db", "")]);
    all_up(&mut world);
    // It asks for its stop, and its thread panics before anything of that is written down.
    let id = world.members["db"].id;
    world.order.ask_stop(id).expect_err("the one that needs it lives");
    world.panic("db", true);
    world.settle();
    assert_eq!(up(&world), ["db", "web"]);
}

#[test]
fn a_chain_costs_one_look_each() {
    const LENGTH: usize = 1000;
    let mut world = World::default();
    let name = |number: usize| format!("s{number:04}");
    for number in 0..LENGTH {
        let needs = if number == 0 { String::new() } else { name(number - 1) };
        world.add(&name(number), relations(&needs, "", "", ""), false);
    }
    // The other way round, so that all have to wait.
    (0..LENGTH).rev().for_each(|number| {
        let id = world.members[&name(number)].id;
        if number > 0 {
            world.order.ask_start(id).expect_err("it waits");
        }
    });
    for number in 0..LENGTH {
        let id = number;
        world.order.ask_start(id).expect("its turn");
        assert!(world.order.take_woken().is_empty(), "{number}: too early");
        world.order.report(id, crate::machine::standing::Standing::Up);
        assert!(world.order.take_woken().is_empty(), "{number}: still too early");
        world.order.report(id, crate::machine::standing::Standing::Ready);
        let next = world.order.take_woken();
        assert_eq!(next.len(), usize::from(number + 1 < LENGTH), "{number}");
    }
}

#[test]
fn ten_thousand_edges_are_read_and_checked_in_no_time() {
    let mut order = crate::tree::order::Order::default();
    for number in 0..1000_usize {
        let needs: Vec<String> =
            (1..=10).filter_map(|back| number.checked_sub(back * 7)).map(|other| format!("s{other}")).collect();
        order.declare(&format!("s{number}"), relations(&needs.join(" "), "", "", ""), true);
    }
    let began = std::time::Instant::now();
    assert!(order.circles().is_empty());
    // 50 ms are promised; code that is not optimised takes some ten times as long.
    assert!(began.elapsed() < std::time::Duration::from_millis(500), "{:?}", began.elapsed());
    eprintln!("10000 edges: {:?}", began.elapsed());
}

#[test]
fn the_graph_is_not_built_again_for_each_that_leaves() {
    let name = |number: usize| format!("s{number:02}");
    for ends in [false, true] {
        let mut order = crate::tree::order::Order::default();
        for number in 0..20_usize {
            let needs: Vec<String> = (number.saturating_sub(10)..number).map(name).collect();
            order.declare(&name(number), relations(&needs.join(" "), "", "", ""), true);
        }
        assert!(order.circles().is_empty() && !order.is_stale);
        if ends {
            order.end();
            order.take_woken();
        }
        // Those leave first that nobody needs any more; at the end of all, it makes no difference.
        for number in (0..20).rev().take(15) {
            order.remove(order.place(&name(number)).expect("it is there"));
            assert!(!order.is_stale, "{number}");
        }
        order.remove(order.place("s00").expect("it is there"));
        assert_eq!(order.is_stale, !ends, "others need it, and have to know that there is no such module any more");
    }
}
