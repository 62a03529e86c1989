//! The live view on a terminal: each connection with its handshake, round trips, window and verdicts.

use std::time::Duration;

use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Paragraph};
use ratatui::{DefaultTerminal, Frame};
use torque_socket::{ConnectionStats, Delivery};

use super::Deadline;
use super::board::{Board, Connection};
use crate::args::Args;
use crate::failure::Failure;
use crate::units::{millis, percent};

const FRAME: Duration = Duration::from_millis(50);
/// Lines of one connection, its heading included: four connections fit 24 lines.
const ROWS: u16 = 5;
/// Characters of the window's bar.
const BAR: usize = 32;

/// Shows the board until the time is over or the user presses q.
pub fn run(args: &Args, board: &Board, mut end: Deadline) -> Result<(), Failure> {
    let mut terminal = ratatui::try_init()?;
    let shown = show(&mut terminal, args, board, &mut end);
    // Plain lines follow, so the terminal must be restored even after an error.
    ratatui::try_restore()?;
    Ok(shown?)
}

fn show(
    terminal: &mut DefaultTerminal,
    args: &Args,
    board: &Board,
    end: &mut Deadline,
) -> std::io::Result<()> {
    while !end.passed(board) {
        let connections = board.snapshot();
        terminal.draw(|frame| draw(frame, args, board.page.as_deref(), &connections))?;
        if event::poll(FRAME)? && is_quit(&event::read()?) {
            return Ok(());
        }
    }
    Ok(())
}

/// In raw mode Ctrl-C is a key, not a signal.
fn is_quit(event: &Event) -> bool {
    let Event::Key(key) = event else { return false };
    let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    key.kind == KeyEventKind::Press && (control_c || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc))
}

fn draw(frame: &mut Frame<'_>, args: &Args, page: Option<&str>, connections: &[Connection]) {
    let lines = [1, u16::from(page.is_some())].map(Constraint::Length);
    let [head, web, body, foot] =
        Layout::vertical([lines[0], lines[1], Constraint::Fill(1), Constraint::Length(1)])
            .areas(frame.area());
    let title = format!(
        " {} clients, {} packets/s of {} bytes each way, {}",
        args.clients,
        args.rate,
        args.size,
        args.link()
    );
    frame.render_widget(Line::from(title).bold(), head);
    if let Some(page) = page {
        let line = vec![" play in the arena at ".into(), page.to_owned().cyan(), ", in two tabs".dim()];
        frame.render_widget(Line::from(line), web);
    }

    let room = usize::from(body.height / ROWS).max(1);
    let shown = connections.len().min(room);
    let areas = Layout::vertical(vec![Constraint::Length(ROWS); shown]).split(body);
    for (index, (connection, area)) in connections.iter().zip(areas.iter()).enumerate() {
        draw_connection(frame, index + 1, connection, *area);
    }
    frame.render_widget(footer(connections, shown), foot);
}

fn footer(connections: &[Connection], shown: usize) -> Line<'static> {
    let mut totals = [0; 3];
    for stats in connections.iter().flat_map(|connection| [&connection.client, &connection.host]).flatten() {
        totals[0] += stats.counters.sent;
        totals[1] += stats.counters.delivered;
        totals[2] += stats.counters.dropped;
    }
    let hidden = match connections.len() - shown {
        0 => String::new(),
        hidden => format!("   {hidden} more clients do not fit"),
    };
    Line::from(vec![
        format!(" {} sent  ", totals[0]).into(),
        format!("{} delivered  ", totals[1]).green(),
        format!("{} dropped", totals[2]).yellow(),
        hidden.dim(),
        "   q ends and checks every verdict".dim(),
    ])
}

fn draw_connection(frame: &mut Frame<'_>, number: usize, connection: &Connection, area: Rect) {
    let (state, color) = match (&connection.ended, connection.established) {
        (Some(how), _) => (how.as_str(), Color::DarkGray),
        (None, true) => ("established", Color::Green),
        (None, false) => ("handshake", Color::Yellow),
    };
    let block = Block::new()
        .borders(Borders::TOP)
        .border_style(Style::new().fg(color))
        .title(format!(" client {number}: {state} "));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let lines = vec![
        Line::from(format!(" {}", handshake(&connection.steps))),
        labelled("up    rtt", traffic(connection.client.as_ref())),
        labelled("down  rtt", traffic(connection.host.as_ref())),
        verdicts(connection, inner.width),
    ];
    frame.render_widget(Paragraph::new(lines), inner);
}

/// The steps of the handshake, without the first one once others follow.
fn handshake(steps: &[String]) -> String {
    steps[usize::from(steps.len() > 1)..].join(" → ")
}

fn labelled(label: &str, mut rest: Vec<Span<'static>>) -> Line<'static> {
    rest.insert(0, format!("{label:<10}").cyan());
    Line::from(rest)
}

/// The traffic of one end and its verdicts.
fn traffic(stats: Option<&ConnectionStats>) -> Vec<Span<'static>> {
    let Some(stats) = stats else { return vec!["-".dim()] };
    let counters = &stats.counters;
    let lost = percent(counters.dropped, counters.delivered + counters.dropped);
    let window = usize::from(stats.settings.packet_window);
    let filled = (stats.in_flight * BAR).div_ceil(window).min(BAR);
    // The bar comes last, because a narrow terminal may cut it.
    vec![
        format!("{:>7} ±{:>7} ", millis(stats.rtt), millis(stats.jitter)).into(),
        format!("{:>5} sent ", counters.sent).into(),
        format!("{:>5} delivered ", counters.delivered).green(),
        format!("{:>4} dropped {lost:>4.1}% ", counters.dropped).yellow(),
        format!("{:>3}/{window} ", stats.in_flight).into(),
        "▮".repeat(filled).blue(),
        "▯".repeat(BAR - filled).dim(),
    ]
}

/// The latest verdicts that the client was told, newest last.
fn verdicts(connection: &Connection, width: u16) -> Line<'static> {
    let room = usize::from(width).saturating_sub(10);
    let skip = connection.recent.len().saturating_sub(room);
    let marks = connection.recent.iter().skip(skip).map(|delivery| match delivery {
        Delivery::Delivered => "·".green(),
        Delivery::Dropped => "x".red().bold(),
        Delivery::Unknown => "?".magenta(),
    });
    labelled("verdicts", marks.collect())
}

#[cfg(test)]
mod tests;
