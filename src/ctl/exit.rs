//! Exit codes, from one function.

/// How it went, for one module or for the whole call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is as it was asked for, or up.
    Done,
    /// It failed.
    Failed,
    /// It was not as it was asked for when the time was over.
    TimedOut,
    /// `status`: it is not up.
    NotUp,
    /// Nobody supervises it.
    NotSupervised,
    /// There is no such module.
    NoSuchModule,
    /// We may not see or steer it.
    Denied,
    /// There is no status root.
    NoRoot,
    /// The call makes no sense.
    Usage,
}

impl Outcome {
    /// Its exit code, as svctl(8) has it: runit's and s6's for usage and system errors, LSB's for status.
    fn code(self) -> u8 {
        match self {
            Outcome::Done => 0,
            Outcome::Failed | Outcome::TimedOut => 1,
            Outcome::NotUp => 3,
            Outcome::NotSupervised | Outcome::NoSuchModule => 4,
            Outcome::Usage => 100,
            Outcome::Denied | Outcome::NoRoot => 111,
        }
    }

    /// The word in front of a line, and in the `result` of JSON.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Done => "ok",
            Outcome::TimedOut => "timeout",
            Outcome::Failed
            | Outcome::NotUp
            | Outcome::NotSupervised
            | Outcome::NoSuchModule
            | Outcome::Denied
            | Outcome::NoRoot
            | Outcome::Usage => "fail",
        }
    }
}

/// The exit code of a call with these outcomes: that of the gravest, which is the one with the highest code.
pub fn code(outcomes: impl IntoIterator<Item = Outcome>) -> u8 {
    outcomes.into_iter().map(Outcome::code).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::Outcome::*;
    use super::*;

    #[test]
    fn nothing_to_do_is_done() {
        assert_eq!(code([]), 0);
    }

    #[test]
    fn done_is_0() {
        assert_eq!(code([Done]), 0);
    }

    #[test]
    fn failed_is_1() {
        assert_eq!(code([Failed]), 1);
    }

    #[test]
    fn timed_out_is_1() {
        assert_eq!(code([TimedOut]), 1);
    }

    #[test]
    fn not_up_is_3() {
        assert_eq!(code([NotUp]), 3);
    }

    #[test]
    fn not_supervised_is_4() {
        assert_eq!(code([NotSupervised]), 4);
    }

    #[test]
    fn no_such_module_is_4() {
        assert_eq!(code([NoSuchModule]), 4);
    }

    #[test]
    fn usage_is_100() {
        assert_eq!(code([Usage]), 100);
    }

    #[test]
    fn no_permission_is_111() {
        assert_eq!(code([Denied]), 111);
    }

    #[test]
    fn no_status_root_is_111() {
        assert_eq!(code([NoRoot]), 111);
    }

    #[test]
    fn the_gravest_of_many_decides() {
        assert_eq!(code([Done, Failed, Done]), 1);
        assert_eq!(code([Done, NotUp]), 3);
        assert_eq!(code([Failed, NoSuchModule, TimedOut]), 4);
        assert_eq!(code([NotUp, NotSupervised]), 4);
        assert_eq!(code([NoSuchModule, Denied, Failed]), 111);
    }

    #[test]
    fn the_words_are_those_of_sv() {
        assert_eq!([Done.word(), TimedOut.word(), Failed.word(), Denied.word()], ["ok", "timeout", "fail", "fail"]);
    }
}
