//! Lists of words of which each stands by itself: a bad one is told and left out, and the good ones hold.

/// What is good of `words`.
///
/// # Errors
/// What is wrong with the first, if none is good.
pub fn good<T>(words: impl IntoIterator<Item = Result<T, String>>) -> Result<Vec<T>, String> {
    let mut refused = None;
    let mut good = Vec::new();
    for word in words {
        match word {
            Ok(word) => good.push(word),
            Err(why) => refused = refused.or(Some(why)),
        }
    }
    match refused {
        Some(why) if good.is_empty() => Err(why),
        _ => Ok(good),
    }
}

/// What is wrong with `words`, if at least one is good: otherwise [`good`] has told it.
pub fn refused<T>(words: impl IntoIterator<Item = Result<T, String>>) -> Vec<String> {
    let words: Vec<_> = words.into_iter().collect();
    if words.iter().any(Result::is_ok) { words.into_iter().filter_map(Result::err).collect() } else { Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_good_ones_stand_unless_there_is_none() {
        let words = |text: &'static str| text.split(' ').map(|word| word.parse::<u8>().map_err(|_| word.to_string()));
        assert_eq!(good(words("1 x 2")), Ok(vec![1, 2]));
        assert_eq!(refused(words("1 x 2 y")), ["x", "y"]);
        assert_eq!(good(words("x y")), Err("x".into()));
        assert!(refused(words("x y")).is_empty());
    }
}
