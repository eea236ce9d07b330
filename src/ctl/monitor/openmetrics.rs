//! The text format of OpenMetrics 1.0, as far as it is needed here: families, samples, escaped labels, the end mark.
//!
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>. The crate prometheus-client knows no StateSet, and wants a live
//! object for each number.

use std::fmt::Write;

/// The type of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A number that goes up and down.
    Gauge,
    /// A number that only grows; its samples end in `_total`.
    Counter,
    /// One of several states.
    StateSet,
    /// Text about what is watched; its samples end in `_info`.
    Info,
}

/// A family: what all samples of one name have in common.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    /// Its name, without the ending of a sample.
    pub name: &'static str,
    /// Its type.
    pub kind: Type,
    /// Its unit, which the name ends in; empty for none.
    pub unit: &'static str,
    /// One sentence.
    pub help: &'static str,
}

/// A text that grows family by family.
#[derive(Debug, Default)]
pub struct Exposition(String);

impl Exposition {
    /// Begins a family; its samples follow.
    pub fn family(&mut self, family: &Family) {
        let Family { name, kind, unit, help } = family;
        let kind = match kind {
            Type::Gauge => "gauge",
            Type::Counter => "counter",
            Type::StateSet => "stateset",
            Type::Info => "info",
        };
        // Writing into memory does not fail.
        let _ = writeln!(self.0, "# TYPE {name} {kind}");
        if !unit.is_empty() {
            let _ = writeln!(self.0, "# UNIT {name} {unit}");
        }
        let _ = writeln!(self.0, "# HELP {name} {}", escaped(help));
    }

    /// A sample of the family that was begun last.
    pub fn sample(&mut self, family: &Family, labels: &[(&str, &str)], value: f64) {
        let ending = match family.kind {
            Type::Counter => "_total",
            Type::Info => "_info",
            Type::Gauge | Type::StateSet => "",
        };
        self.0.push_str(family.name);
        self.0.push_str(ending);
        let mut before = '{';
        for (label, text) in labels {
            let _ = write!(self.0, "{before}{label}=\"{}\"", escaped(text));
            before = ',';
        }
        if before == ',' {
            self.0.push('}');
        }
        // A float is written in the shortest way that is read back as the same.
        let _ = writeln!(self.0, " {value}");
    }

    /// The whole text.
    pub fn finish(mut self) -> String {
        self.0.push_str("# EOF\n");
        self.0
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_its_types_units_and_an_end() {
        let counter = Family { name: "a_seconds", kind: Type::Counter, unit: "seconds", help: "A \"time\"." };
        let info = Family { name: "b", kind: Type::Info, unit: "", help: "B." };
        let mut text = Exposition::default();
        text.family(&counter);
        text.sample(&counter, &[("module", "we\"b\\\n"), ("x", "y")], 1.5);
        text.sample(&counter, &[], 3.0);
        text.family(&info);
        text.sample(&info, &[("version", "1")], 1.0);
        assert_eq!(
            text.finish(),
            "# TYPE a_seconds counter\n# UNIT a_seconds seconds\n# HELP a_seconds A \\\"time\\\".\n\
             a_seconds_total{module=\"we\\\"b\\\\\\n\",x=\"y\"} 1.5\na_seconds_total 3\n\
             # TYPE b info\n# HELP b B.\nb_info{version=\"1\"} 1\n# EOF\n"
        );
    }
}
