//! Random needs between services.

use crate::random::Random;
use crate::services::Kind;
use crate::world::NAMES;

/// Steady services whose names have this number or a higher one may need others.
const NEEDY: usize = 10;

/// The names of services that may need others.
pub fn needy() -> impl Iterator<Item = String> {
    (NEEDY..NAMES).map(|number| format!("{}{number:02}", Kind::Steady.letter()))
}

/// Who needs whom, and comes after whom. Some of those are not there, and some need each other.
pub fn relations(random: &mut Random) -> String {
    let mut text = String::new();
    for name in needy() {
        let mut lines = String::new();
        for key in ["needs", "after"] {
            if random.chance(35) {
                let kind = random.pick(&[Kind::Steady, Kind::Steady, Kind::Flapping, Kind::Stubborn]);
                let letter = kind.unwrap_or(Kind::Steady).letter();
                lines += &format!("{key} : {letter}{:02}\n", random.below(NAMES));
            }
        }
        if !lines.is_empty() {
            text += &format!("[{name}]\n{lines}");
        }
    }
    text
}
