use clap::Parser;
use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;

fn screen(width: u16, height: u16, connections: &[Connection]) -> String {
    screen_with(width, height, None, connections)
}

fn screen_with(width: u16, height: u16, page: Option<&str>, connections: &[Connection]) -> String {
    let args = Args::parse_from(["torque-demo"]);
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, &args, page, connections)).unwrap();
    terminal.backend().to_string()
}

#[test]
fn the_view_shows_each_handshake_and_the_verdicts_and_how_to_end_it() {
    let mut connection = Connection {
        steps: ["asked", "challenge 40 ms", "established 82 ms"].map(String::from).to_vec(),
        established: true,
        ..Connection::default()
    };
    for delivery in [Delivery::Delivered, Delivery::Dropped, Delivery::Delivered] {
        connection.verdict(delivery);
    }
    let text = screen(140, 30, &[connection, Connection::default()]);
    for part in ["challenge 40 ms → established 82 ms", "·x·", "client 2: handshake", "q ends"] {
        assert!(text.contains(part), "no `{part}` in\n{text}");
    }
}

#[test]
fn clients_that_do_not_fit_are_told_and_no_size_of_terminal_breaks_it() {
    let many = vec![Connection::default(); 9];
    assert!(screen(100, 14, &many).contains("7 more clients do not fit"));
    for (width, height) in [(1, 1), (3, 2), (20, 5), (300, 90)] {
        screen(width, height, &many);
    }
}

#[test]
fn the_address_of_the_page_is_shown_where_there_is_one() {
    let page = "http://localhost:4433/";
    let connections = [Connection::default()];
    assert!(screen_with(80, 24, Some(page), &connections).contains(page));
    assert!(!screen(80, 24, &connections).contains("arena"));
    screen_with(3, 2, Some(page), &connections);
}
