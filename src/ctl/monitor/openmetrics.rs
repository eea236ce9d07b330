//! The text formats of OpenMetrics 1.0 and of Prometheus, as far as they are needed here: families, samples, escaped labels,
//! the EOF marker.
//!
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>. The crate prometheus-client knows no StateSet, and wants a live
//! object for each number.

use std::borrow::Cow;
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

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// OpenMetrics.
    OpenMetrics,
    /// What Prometheus had before, and its textfile collector still reads: it knows neither units nor the types StateSet and
    /// Info, and a family has the name of its samples.
    Prometheus,
}

/// A text that grows family by family.
#[derive(Debug)]
pub struct Exposition {
    text: String,
    form: Form,
}

impl Type {
    /// What a sample's name has behind that of its family.
    fn ending(self) -> &'static str {
        match self {
            Type::Counter => "_total",
            Type::Info => "_info",
            Type::Gauge | Type::StateSet => "",
        }
    }

    fn word(self, form: Form) -> &'static str {
        match (self, form) {
            (Type::Gauge, _) | (Type::StateSet | Type::Info, Form::Prometheus) => "gauge",
            (Type::Counter, _) => "counter",
            (Type::StateSet, Form::OpenMetrics) => "stateset",
            (Type::Info, Form::OpenMetrics) => "info",
        }
    }
}

impl Exposition {
    /// Nothing yet.
    pub fn new(form: Form) -> Exposition {
        Exposition { text: String::new(), form }
    }

    /// Begins a family; its samples follow.
    pub fn family(&mut self, family: &Family) {
        let Family { name, kind, unit, help } = family;
        let word = kind.word(self.form);
        // Writing into memory does not fail.
        let _ = match self.form {
            Form::OpenMetrics if unit.is_empty() => writeln!(self.text, "# TYPE {name} {word}"),
            Form::OpenMetrics => writeln!(self.text, "# TYPE {name} {word}\n# UNIT {name} {unit}"),
            Form::Prometheus => writeln!(self.text, "# TYPE {name}{} {word}", kind.ending()),
        };
        let _ = match self.form {
            Form::OpenMetrics => writeln!(self.text, "# HELP {name} {}", escaped(help)),
            Form::Prometheus => writeln!(self.text, "# HELP {name}{} {help}", kind.ending()),
        };
    }

    /// A sample of the family that was begun last.
    pub fn sample(&mut self, family: &Family, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(family.name);
        self.text.push_str(family.kind.ending());
        let mut before = '{';
        for (label, text) in labels {
            self.text.push(before);
            for part in [label, "=\"", &escaped(text), "\""] {
                self.text.push_str(part);
            }
            before = ',';
        }
        if before == ',' {
            self.text.push('}');
        }
        // A float is written in the shortest way that is read back as the same.
        let _ = writeln!(self.text, " {value}");
    }

    /// The whole text.
    pub fn finish(mut self) -> String {
        if self.form == Form::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

/// Nearly all texts have nothing to escape, and a thousand modules have fifty thousand of them.
fn escaped(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| matches!(byte, b'\\' | b'"' | b'\n')) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_its_types_units_and_an_end() {
        let counter = Family { name: "a_seconds", kind: Type::Counter, unit: "seconds", help: "A \"time\"." };
        let info = Family { name: "b", kind: Type::Info, unit: "", help: "B." };
        let mut text = Exposition::new(Form::OpenMetrics);
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
        let mut text = Exposition::new(Form::Prometheus);
        text.family(&counter);
        text.sample(&counter, &[], 3.0);
        text.family(&info);
        assert_eq!(
            text.finish(),
            "# TYPE a_seconds_total counter\n# HELP a_seconds_total A \"time\".\na_seconds_total 3\n\
             # TYPE b_info gauge\n# HELP b_info B.\n"
        );
    }
}
