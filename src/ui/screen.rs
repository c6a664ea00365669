//! Decides how live lines come onto the terminal, and that they go again before anything else is written there.
//! Must never clear more than its own lines, hide the cursor, or take the terminal for wider than it is.

use console::{Term, measure_text_width};
use std::{
    fmt::Write as _,
    io::Write as _,
    sync::{Mutex, PoisonError, TryLockError},
};

/// How many columns each live line has that is on the terminal. The cursor is at the beginning of the line after them.
static DRAWN: Mutex<Vec<usize>> = Mutex::new(Vec::new());

/// Columns and rows of the terminal that stderr is.
pub(super) fn size() -> (usize, usize) {
    let (rows, columns) = Term::stderr().size_checked().unwrap_or_default();
    // A terminal that does not know its size says 0.
    match (columns, rows) {
        (0, _) | (_, 0) => (80, 24),
        (columns, rows) => (columns.into(), rows.into()),
    }
}

/// Writes lines that stay, and under them the live ones in place of those before. Live lines must be narrower than the
/// terminal: after a full line some terminals stand in the next one already.
pub(super) fn draw(stay: &[String], live: &[String]) {
    let mut drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner);
    if stay.is_empty() && live.is_empty() && drawn.is_empty() {
        return;
    }
    let text = frame(&drawn, size().0, stay, live);
    *drawn = live.iter().map(|line| measure_text_width(line)).collect();
    put(&text);
}

/// Takes the live lines away, and lets nobody draw new ones while `write` writes.
pub(super) fn aside<T>(write: impl FnOnce() -> T) -> T {
    let mut drawn = DRAWN.lock().unwrap_or_else(PoisonError::into_inner);
    clear(&mut drawn);
    write()
}

/// Takes the live lines away, unless somebody is drawing just now: who ends the process cannot wait for that.
pub(super) fn wipe() {
    match DRAWN.try_lock() {
        Ok(mut drawn) => clear(&mut drawn),
        Err(TryLockError::Poisoned(drawn)) => clear(&mut drawn.into_inner()),
        Err(TryLockError::WouldBlock) => {}
    }
}

fn clear(drawn: &mut Vec<usize>) {
    if !drawn.is_empty() {
        put(&frame(drawn, size().0, &[], &[]));
        drawn.clear();
    }
}

/// All in one piece, so that no half of it is seen.
fn put(text: &str) {
    // Nobody reads stderr any more: there is nobody to tell.
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// The bytes that turn the lines of before into these.
fn frame(drawn: &[usize], columns: usize, stay: &[String], live: &[String]) -> String {
    // A window that has become narrower has broken its lines anew.
    let rows: usize = drawn.iter().map(|w| w.div_ceil(columns).max(1)).sum();
    let mut out = "\r".to_owned();
    up(&mut out, rows);
    if stay.is_empty() {
        // Over the old ones: nothing but a line is blank for a moment. All of it is cleared: of one that is cleared from the
        // new end on, terminals keep the blanks, and break them, too, when the window becomes narrower.
        for line in live {
            out.push_str("\u{1b}[2K");
            out.push_str(line);
            out.push('\n');
        }
        if let Some(more) = rows.checked_sub(live.len()) {
            blank(&mut out, more);
        }
    } else {
        blank(&mut out, rows);
        for line in stay.iter().chain(live) {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// Clears the line of the cursor and `more` under it, one by one: of a screen that is cleared from its very beginning, where
/// a narrower window may have pushed them, tmux keeps what was on it.
fn blank(out: &mut String, more: usize) {
    out.push_str("\u{1b}[2K");
    for _ in 0..more {
        out.push_str("\u{1b}[1B\u{1b}[2K");
    }
    up(out, more);
}

fn up(out: &mut String, rows: usize) {
    if rows > 0 {
        // Writing to a String cannot fail.
        let _ = write!(out, "\u{1b}[{rows}A");
    }
}

#[cfg(test)]
mod tests {
    use super::frame;

    fn texts(lines: &[&str]) -> Vec<String> {
        lines.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn live_lines_are_written_over_and_lines_that_stay_above_them() {
        let live = texts(&["a", "b"]);
        assert_eq!(frame(&[], 80, &[], &live), "\r\u{1b}[2Ka\n\u{1b}[2Kb\n");
        assert_eq!(
            frame(&[1, 1], 80, &[], &live[..1]),
            "\r\u{1b}[2A\u{1b}[2Ka\n\u{1b}[2K\u{1b}[1B\u{1b}[2K\u{1b}[1A"
        );
        let stays = texts(&["x"]);
        assert_eq!(
            frame(&[1], 80, &stays, &live[..1]),
            "\r\u{1b}[1A\u{1b}[2K\u{1b}[1B\u{1b}[2K\u{1b}[1Ax\na\n"
        );
    }

    #[test]
    fn lines_that_a_narrower_window_has_broken_go_whole() {
        let gone = frame(&[79, 30, 0], 40, &[], &[]);
        let four = "\u{1b}[1B\u{1b}[2K".repeat(4);
        assert_eq!(gone, format!("\r\u{1b}[4A\u{1b}[2K{four}\u{1b}[4A"));
    }
}
