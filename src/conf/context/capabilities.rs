//! The value of `capabilities`: names as in capabilities(7).

use crate::conf::nearest::nearest;

/// The names, by the kernel's numbers (`linux/capability.h`), without their `cap_`.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// Reads names of capabilities, or `-` for none, as a bit each.
///
/// # Errors
/// What is wrong with it.
pub fn capabilities(value: &str) -> Result<u64, String> {
    if value == "-" {
        return Ok(0);
    }
    value.split_ascii_whitespace().try_fold(0, |all, word| Ok(all | 1 << number(word)?))
}

/// The names of those in `set`.
pub fn names(set: u64) -> Vec<String> {
    let name = |number: usize| NAMES.get(number).map_or(format!("cap_{number}"), |name| format!("cap_{name}"));
    (0..64).filter(|number| set & 1 << number != 0).map(name).collect()
}

fn number(word: &str) -> Result<usize, String> {
    let lower = word.to_ascii_lowercase();
    let name = lower.strip_prefix("cap_").unwrap_or(&lower);
    NAMES.iter().position(|known| *known == name).ok_or_else(|| match nearest(name, NAMES) {
        Some(meant) => format!("{word:?} is not a capability: did you mean cap_{meant}?"),
        None => format!("{word:?} is not a capability"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bits_and_bits_are_names() {
        assert_eq!(capabilities("cap_net_bind_service"), Ok(1 << 10));
        assert_eq!(capabilities("CAP_CHOWN kill cap_checkpoint_restore"), Ok(1 | 1 << 5 | 1 << 40));
        assert_eq!(capabilities("-"), Ok(0));
        assert_eq!(names(1 | 1 << 10 | 1 << 63), ["cap_chown", "cap_net_bind_service", "cap_63"]);
        assert!(capabilities("cap_net_bind").is_err());
        assert!(capabilities("net_bind_servce").unwrap_err().contains("did you mean cap_net_bind_service?"));
        assert!(capabilities("chown -").is_err());
    }
}
