//! Programs for alarms that write down what they were given, and settings that call them.

use super::host::count;
use super::{Module, Place, script, wait_for};
use std::path::Path;

/// A service that fails at once, and says how often it ran.
pub const CRASHER: &str = "echo run; exit 3";

/// A program for alarms: writes down its arguments, what it finds in its environment, and its input.
const HOOK: &str = "#!/bin/sh
    dir=$(dirname \"$0\")
    {
        for word; do printf 'argument <%s>\\n' \"$word\"; done
        printf '%s\\n' \"ALARM_EXIT=$ALARM_EXIT\" \"ALARM_HOST=$ALARM_HOST\" \"ALARM_MODULE=$ALARM_MODULE\" \\
            \"ALARM_PID=$ALARM_PID\" \"ALARM_REASON=$ALARM_REASON\" \"ALARM_JSON=$ALARM_JSON\" \"ALARM_STATUS_DIR=$ALARM_STATUS_DIR\" \\
            \"SUPERVISE_MODULE=$SUPERVISE_MODULE\" \"SUPERVISE_STATUS=$SUPERVISE_STATUS\"
        echo body
        cat
        echo end of body
    } > \"$dir/writing.$$\"
    mv \"$dir/writing.$$\" \"$dir/alarm.$$\"
";

/// Puts a program for alarms at `name`.
pub fn hook(place: &Place, name: &str) {
    script(&place.path().join(name), HOOK);
}

/// What the programs have written down so far, each call in one text, in no order.
pub fn alarms(place: &Place) -> Vec<String> {
    let entries = std::fs::read_dir(place.path()).unwrap().flatten().map(|entry| entry.path());
    let is_alarm = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("alarm."));
    entries.filter(|path| is_alarm(path)).map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

/// Waits until there are so many; all that there are then.
pub fn wait_alarms(place: &Place, number: usize) -> Vec<String> {
    wait_for(&format!("{number} alarms"), place, || alarms(place).len() >= number);
    alarms(place)
}

/// A configuration with alarms on, quick restarts, and further lines.
pub fn conf(place: &Place, lines: &str) {
    place.conf(&format!("[global]\nalarm_interval : 60\nrestart_delay : 0.05\n{lines}\n"));
}

/// How often a service has run that says `run` each time.
pub fn runs(module: &Module) -> usize {
    count(&module.path("__stdout"), "run\n")
}
