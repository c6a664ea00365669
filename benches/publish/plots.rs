//! Decides how figures look as pictures: bars that share a scale only where they are compared, lines where something grows.
//! Must never leave out what was slow, nor how far the runs were apart.

use super::results::{Row, Section, Table, bounds, median};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::Path;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const WIDTH: u32 = 860;
const INK: RGBColor = RGBColor(40, 44, 52);
const FAINT: RGBColor = RGBColor(120, 126, 136);
const OURS: RGBColor = RGBColor(0, 114, 178);
const THEIRS: RGBColor = RGBColor(213, 130, 40);

/// Bars of these tables' medians, a line over each from the least to the most.
pub(crate) fn bars(file: &Path, tables: &[(String, &Table)]) {
    let rows = |table: &Table| i32::try_from(table.rows.len()).unwrap();
    let height = |table: &Table| 34 + 24 * rows(table);
    let total: i32 = tables.iter().map(|(_, table)| height(table)).sum();
    let size = (WIDTH, u32::try_from(total + 40).unwrap());
    let area = SVGBackend::new(file, size).into_drawing_area();
    area.fill(&WHITE).unwrap();
    let mut y = 14;
    for (title, table) in tables {
        text(&area, title, (16, y), 15, INK, HPos::Left);
        y += 22;
        let most = table.rows.iter().filter_map(|row| bounds(&row.values));
        let most = most.map(|(_, most)| most).fold(0.0, f64::max);
        for row in &table.rows {
            let ours = row.name.starts_with("`rpub");
            bar(&area, row, y, most, if ours { OURS } else { THEIRS });
            y += 24;
        }
        y += 12;
    }
    let how = "Medians; a thin line goes from the fastest run to the slowest. Each image has a scale of its own.";
    text(&area, how, (16, y), 12, FAINT, HPos::Left);
    area.present().unwrap();
}

/// One row: its name, its bar, its figure.
fn bar(area: &Area<'_>, row: &Row, y: i32, most: f64, colour: RGBColor) {
    const LEFT: i32 = 280;
    const RIGHT: i32 = 760;
    let name = row.name.replace('`', "");
    text(area, &name, (LEFT - 8, y + 2), 13, INK, HPos::Right);
    let (Some(middle), Some((least, longest))) = (median(&row.values), bounds(&row.values)) else {
        let why = row.missing.as_deref().unwrap_or("no figures");
        return text(area, why, (LEFT, y + 2), 13, FAINT, HPos::Left);
    };
    #[allow(clippy::cast_possible_truncation, reason = "pixels")]
    let x = |value: f64| LEFT + (f64::from(RIGHT - LEFT) * value / most) as i32;
    let shape = [(LEFT, y), (x(middle), y + 17)];
    area.draw(&Rectangle::new(shape, colour.filled())).unwrap();
    for line in [
        [(x(least), y + 8), (x(longest), y + 8)],
        [(x(least), y + 4), (x(least), y + 13)],
        [(x(longest), y + 4), (x(longest), y + 13)],
    ] {
        area.draw(&PathElement::new(line, INK.stroke_width(1)))
            .unwrap();
    }
    let figure = super::page::figure(middle, &row.unit);
    text(area, &figure, (x(longest) + 6, y + 2), 13, INK, HPos::Left);
}

fn text(area: &Area<'_>, words: &str, at: (i32, i32), size: i32, colour: RGBColor, to: HPos) {
    let style = ("sans-serif", size).into_font().color(&colour);
    let style = style.pos(Pos::new(to, VPos::Top));
    area.draw(&Text::new(words.to_owned(), at, style)).unwrap();
}

/// A plot of lines beside each other for each table that has points.
pub(crate) fn lines(file: &Path, section: &Section) {
    let area = SVGBackend::new(file, (WIDTH, 340)).into_drawing_area();
    area.fill(&WHITE).unwrap();
    let tables: Vec<&Table> = (section.tables.iter())
        .filter(|table| table.rows.iter().any(|row| row.point.is_some()))
        .collect();
    for (panel, table) in area.split_evenly((1, tables.len())).iter().zip(tables) {
        plot(panel, table);
    }
    area.present().unwrap();
}

/// A line's name and where it goes: how far to the right, the median, the least and the most.
type Line = (String, Vec<(f64, f64, (f64, f64))>);

fn lines_of(table: &Table) -> Vec<Line> {
    let mut found: Vec<Line> = Vec::new();
    for row in &table.rows {
        let (Some((line, x)), Some(y)) = (&row.point, median(&row.values)) else {
            continue;
        };
        let point = (*x, y, bounds(&row.values).unwrap());
        match found.iter_mut().find(|(name, _)| name == line) {
            Some((_, points)) => points.push(point),
            None => found.push((line.clone(), vec![point])),
        }
    }
    found
}

/// Both axes are logarithmic where one step is ten times the last; on either kind what grows like its cause is straight.
fn plot(panel: &Area<'_>, table: &Table) {
    let lines = lines_of(table);
    let points = || lines.iter().flat_map(|(_, points)| points);
    let right = points().map(|(x, ..)| *x).fold(1.0, f64::max);
    let left = points().map(|(x, ..)| *x).fold(right, f64::min);
    let top = points().map(|(_, _, (_, most))| *most).fold(0.0, f64::max);
    let least = points()
        .map(|(_, _, (least, _))| *least)
        .fold(top, f64::min);
    let by_tens = right / left > 20.0;
    let scaled = |value: f64| if by_tens { value.log10() } else { value };
    let (bottom, room) = if by_tens {
        (least / 2.0, 4.0)
    } else {
        (0.0, 1.25)
    };
    let (bottom, kind) = (scaled(bottom), if by_tens { ", both by tens" } else { "" });
    let mut chart = ChartBuilder::on(panel)
        .caption(
            format!("seconds, by {}{kind}", table.name),
            ("sans-serif", 15, &INK),
        )
        .margin(12)
        .margin_right(24)
        .x_label_area_size(34)
        .y_label_area_size(44)
        .build_cartesian_2d(scaled(left)..scaled(right), bottom..scaled(top * room))
        .unwrap();
    let marks: Vec<f64> = lines.first().map_or(Vec::new(), |(_, points)| {
        points.iter().map(|(x, ..)| *x).collect()
    });
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.15))
        .axis_style(FAINT)
        .x_labels(0) // its own marks do not meet the points
        .x_label_formatter(&|_| String::new())
        .y_labels(6)
        .y_label_formatter(&|value| {
            let value = if by_tens { 10_f64.powf(*value) } else { *value };
            format!("{value:.1}")
        })
        .label_style(("sans-serif", 12, &INK))
        .draw()
        .unwrap();
    for ((name, points), colour) in lines.iter().zip([OURS, THEIRS]) {
        let line = points.iter().map(|(x, y, _)| (scaled(*x), scaled(*y)));
        let series = LineSeries::new(line.clone(), colour.stroke_width(2));
        let drawn = chart.draw_series(series).unwrap().label(name);
        drawn.legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour.stroke_width(2)));
        let dots = line.map(|point| Circle::new(point, 3, colour.filled()));
        chart.draw_series(dots).unwrap();
        let spans = points.iter().map(|(x, _, (least, most))| {
            let ends = [*least, *most].map(|y| (scaled(*x), scaled(y)));
            PathElement::new(ends, colour.stroke_width(1))
        });
        chart.draw_series(spans).unwrap();
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE)
        .label_font(("sans-serif", 12, &INK))
        .draw()
        .unwrap();
    for mark in marks {
        let (x, y) = chart.backend_coord(&(scaled(mark), bottom));
        let (left, top) = panel.get_base_pixel();
        text(
            panel,
            &mark.to_string(),
            (x - left, y - top + 8),
            12,
            INK,
            HPos::Center,
        );
    }
}
