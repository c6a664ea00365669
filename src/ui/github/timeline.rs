//! Decides how the stages of a run are drawn: a Mermaid gantt chart.
//! Must never let a name end the line, the task or the diagram that it stands in.

use super::{super::seconds, markdown::fence};
use crate::model::report::StageTime;

/// Seconds in a unit of the axis, its name, and how many of it one axis can count: it is drawn as that many seconds.
const UNITS: [(f64, &str); 3] = [(1.0, "s"), (60.0, "min"), (3600.0, "h")];
/// An axis counts no further than this before it takes the next unit.
const LONGEST_AXIS: f64 = 60.0;
/// At most this many marks on the axis.
const MARKS: f64 = 8.0;

/// The stages as a diagram; empty where there are none.
///
/// Mermaid knows points of time only, and shows them in the reader's time zone. Zones differ by whole minutes, so an axis
/// that shows nothing but seconds is right in all of them: longer runs are drawn with a minute, or an hour, for a second.
pub(super) fn timeline(stages: &[StageTime]) -> String {
    let total: f64 = stages.iter().map(|stage| stage.seconds).sum();
    if total <= 0.0 {
        return String::new();
    }
    let fits = |(unit, _): &&(f64, &str)| total < unit * LONGEST_AXIS;
    let (unit, name) = *UNITS.iter().find(fits).unwrap_or(&UNITS[2]);
    let mark = (total / unit / MARKS).ceil();
    let mut lines = vec![
        "gantt".to_owned(),
        "    dateFormat x".to_owned(),
        format!("    axisFormat %-S {name}"),
        format!("    tickInterval {mark}second"),
        "    todayMarker off".to_owned(),
        "    section stages".to_owned(),
    ];
    let mut begin = 0.0;
    for stage in stages {
        let end = begin + stage.seconds / unit * 1000.0;
        let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
        let label: String = stage.name.chars().filter(plain).collect();
        // A bar of no width at all is not drawn.
        let (from, to) = (begin.round(), end.round().max(begin.round() + 1.0));
        lines.push(format!(
            "    {label} {} :{from:.0}, {to:.0}",
            seconds(stage.seconds)
        ));
        begin = end;
    }
    fence("mermaid", lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stages(times: &[(&str, f64)]) -> Vec<StageTime> {
        let one = |(name, seconds): &(&str, f64)| StageTime {
            name: (*name).to_owned(),
            seconds: *seconds,
        };
        times.iter().map(one).collect()
    }

    #[test]
    fn the_chart_is_as_it_was() {
        let short = timeline(&stages(&[
            ("plan", 0.0001),
            ("build", 12.34),
            ("push", 3.0),
        ]));
        insta::assert_snapshot!(short);
        let long = timeline(&stages(&[("build", 601.0), ("push", 60.0)]));
        insta::assert_snapshot!(long);
        assert_eq!(timeline(&[]), "");
    }

    #[test]
    fn a_hostile_name_draws_nothing() {
        let told = timeline(&stages(&[("a:1\n```\nclick x href", 1.0)]));
        assert_eq!(told.lines().count(), 9, "{told}");
        assert!(
            told.contains("\n    a1clickxhref 1.0 s :0, 1000\n"),
            "{told}"
        );
    }
}
