//! svlogd's patterns, as its `config` has them: they are not those of a shell.
//!
//! By runit's svlogd(8) and `pmatch.c`: `*` matches any bytes up to the first one that is the same as the next letter of the pattern, `+`
//! matches the next letter of the pattern once or more often, and everything else matches itself. So `-[debug]*` is about lines that
//! begin with `[debug]`. A star never goes back: `*ab` does not match `aab`.

/// One pattern, without its sign.
#[derive(Debug, Clone)]
pub struct SvlogdPattern(Vec<u8>);

impl SvlogdPattern {
    /// Any text is one.
    pub fn new(text: &[u8]) -> SvlogdPattern {
        SvlogdPattern(text.to_vec())
    }

    /// Whether it matches all of the line.
    pub fn matches(&self, line: &[u8]) -> bool {
        let (mut pattern, mut line) = (&*self.0, line);
        while let Some((&letter, after)) = pattern.split_first() {
            pattern = after;
            match letter {
                b'*' => {
                    let Some(next) = pattern.first() else { return true };
                    let Some(at) = memchr::memchr(*next, line) else { return false };
                    line = &line[at..];
                }
                b'+' => {
                    let Some((next, after)) = pattern.split_first() else { return false };
                    let many = line.iter().take_while(|byte| *byte == next).count();
                    if many == 0 {
                        return false;
                    }
                    if many == line.len() {
                        return true;
                    }
                    (pattern, line) = (after, &line[many..]);
                }
                same => match line.split_first() {
                    Some((&byte, rest)) if byte == same => line = rest,
                    Some(_) | None => return false,
                },
            }
        }
        line.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_mean_what_svlogd_means() {
        let matches = |pattern: &str, line: &str| SvlogdPattern::new(pattern.as_bytes()).matches(line.as_bytes());
        for (pattern, line) in [
            ("", ""),
            ("*", "anything"),
            ("[debug]*", "[debug] x"),
            ("a?", "a?"),
            ("*: error*", "web: error 7"),
            ("+ab", "aaab"),
            ("+a", "aaa"),
            ("a\\", "a\\"),
        ] {
            assert!(matches(pattern, line), "{pattern} {line}");
        }
        for (pattern, line) in
            [("", "x"), ("[debug]*", "debug x"), ("a?", "ab"), ("*ab", "aab"), ("+ab", "b"), ("*x", ""), ("+", "a")]
        {
            assert!(!matches(pattern, line), "{pattern} {line}");
        }
    }
}
