//! The messages of the arena. Integers are big-endian; a *number* is written in groups of 7 bits, lowest first, each but the
//! last with its top bit set; a *signed* number n as the number 2n, or -2n - 1 below zero; a *text* as its length (1) and
//! UTF-8.
//!
//! | where | fields |
//! | --- | --- |
//! | connect_data, [`Hello`] | flags (1: bit 0 is a bot), the player's name to the end |
//! | accept_data, [`Welcome`] | the player's number (1), then the rules: each as [`Welcome::write`] lists it |
//! | packets to the host, [`Input`] | input (4), throttle right (1) and down (1), aim (2), letters |
//! | packets to a player, [`Snapshot`] | tick (4), ticks since the base as a number (0: none), newest input that counted (4), check (2), the state (`delta`), letters |
//! | letters | how many (1), then each: number, length (1), content |
//! | content to the host, [`Deed`] | 1 fire: aim (2) · 2 say: text |
//! | content to a player, [`News`] | 1 joined: player (1), flags (1), points (2), name as text · 2 left: player (1) · 3 burst: by (1), ship (1) · 4 said: player (1), text |

use super::flight::{self, Control};
use super::guaranteed::{Letter, MAX_LETTERS};
use super::rules::{self, MAX_PLAYERS};

/// The longest name, in bytes.
pub const MAX_NAME: usize = 24;
/// The longest line of chat, in bytes.
pub const MAX_SAID: usize = 200;

/// Reads fields one after the other. `None`: the bytes end early, or the field is malformed.
#[derive(Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    pub fn byte(&mut self) -> Option<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub fn short(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub fn long(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub fn number(&mut self) -> Option<u32> {
        let mut number = 0_u64;
        for place in 0..5 {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte & 0x80 == 0 {
                return number.try_into().ok();
            }
        }
        None
    }

    pub fn signed(&mut self) -> Option<i64> {
        let number = i64::from(self.number()?);
        Some(if number & 1 == 0 { number / 2 } else { -(number + 1) / 2 })
    }

    fn text(&mut self, most: usize) -> Option<String> {
        let length = usize::from(self.byte()?);
        let bytes = self.bytes(length)?;
        if length > most { None } else { std::str::from_utf8(bytes).ok().map(str::to_owned) }
    }

    pub fn letters(&mut self) -> Option<Vec<Letter>> {
        let count = usize::from(self.byte()?);
        let letter = |_| {
            let (number, length) = (self.number()?, usize::from(self.byte()?));
            Some(Letter { number, content: self.bytes(length)?.to_vec() })
        };
        if count > MAX_LETTERS { None } else { (0..count).map(letter).collect() }
    }

    /// The value, if nothing is left.
    pub fn end<T>(self, value: T) -> Option<T> {
        self.0.is_empty().then_some(value)
    }
}

pub fn put_number(out: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Differences in the arena are far smaller than 31 bits. Larger ones are cut, which the check detects.
pub fn put_signed(out: &mut Vec<u8>, number: i64) {
    put_number(out, if number < 0 { (-2 * number - 1) as u32 } else { (2 * number) as u32 });
}

fn put_text(out: &mut Vec<u8>, text: &str, most: usize) {
    let text = cut(text, most.min(255));
    out.push(text.len() as u8);
    out.extend_from_slice(text.as_bytes());
}

/// Writes at most [`MAX_LETTERS`] letters, none longer than 255 bytes.
pub fn put_letters(out: &mut Vec<u8>, letters: &[Letter]) {
    out.push(letters.len() as u8);
    for letter in letters {
        put_number(out, letter.number);
        out.push(letter.content.len() as u8);
        out.extend_from_slice(&letter.content);
    }
}

/// The longest beginning of a text of at most `most` bytes.
pub fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Makes a stranger's text safe to show: one line, without control or direction characters. `None` if nothing is left.
pub fn presentable(text: &str, most: usize) -> Option<String> {
    let invisible = |character: char| {
        character.is_control()
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let kept: String = text.chars().filter(|character| !invisible(*character)).collect();
    let kept = cut(kept.trim(), most).trim_end();
    (!kept.is_empty()).then(|| kept.to_owned())
}

/// A request to play.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    pub bot: bool,
    pub name: String,
}

impl Hello {
    pub fn write(&self) -> Vec<u8> {
        let mut out = vec![u8::from(self.bot)];
        out.extend_from_slice(cut(&self.name, MAX_NAME).as_bytes());
        out
    }

    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (flags, name) = bytes.split_first()?;
        let name = std::str::from_utf8(name).ok()?;
        if *flags > 1 || name.len() > MAX_NAME {
            return None;
        }
        Some(Self { bot: *flags == 1, name: presentable(name, MAX_NAME)? })
    }
}

/// The answer to an accepted player. It tells pages the rules.
pub struct Welcome;

impl Welcome {
    /// Writes every rule that a page needs to draw the arena and to move its ship before the host answers.
    pub fn write(player: u8) -> Vec<u8> {
        let mut out = vec![player, flight::TICK_RATE as u8, rules::SHOT_LIFE as u8, rules::SHOT_EVERY as u8];
        out.push(rules::SHIELD);
        let units = [flight::WIDTH, flight::HEIGHT, flight::ACCELERATION, flight::SHOT_SPEED];
        // Thousandths are exact enough for the time of a round trip.
        let parts = [flight::GLIDE * 1e3, flight::BOUNCE * 1e3, flight::SHIP_RADIUS, rules::SHOT_RADIUS];
        let pillars = flight::PILLARS.iter().flat_map(|pillar| [pillar.x, pillar.y, pillar.radius]);
        for figure in units.into_iter().chain(parts) {
            out.extend_from_slice(&(figure.round() as u16).to_be_bytes());
        }
        out.push(flight::PILLARS.len() as u8);
        for figure in pillars {
            out.extend_from_slice(&(figure.round() as u16).to_be_bytes());
        }
        out
    }

    /// The player's number. Bots know the rules.
    pub fn player(bytes: &[u8]) -> Option<u8> {
        bytes.first().copied().filter(|player| *player < MAX_PLAYERS)
    }
}

/// A packet to the host.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Input {
    /// Counts inputs, one a tick.
    pub number: u32,
    pub control: Control,
    pub letters: Vec<Letter>,
}

impl Input {
    pub fn write(&self) -> Vec<u8> {
        let mut out = self.number.to_be_bytes().to_vec();
        out.extend_from_slice(&[self.control.right as u8, self.control.down as u8]);
        out.extend_from_slice(&self.control.aim.to_be_bytes());
        put_letters(&mut out, &self.letters);
        out
    }

    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut input = Reader(bytes);
        let number = input.long()?;
        let (right, down) = (input.byte()? as i8, input.byte()? as i8);
        let control = Control { right: right.max(-127), down: down.max(-127), aim: input.short()? };
        let letters = input.letters()?;
        input.end(Self { number, control, letters })
    }
}

/// The head of a packet to a player; the state and letters follow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Snapshot {
    pub tick: u32,
    /// The age of the base state in ticks; 0 without a base.
    pub base_age: u32,
    /// The newest input of the player in this state.
    pub input: u32,
    pub check: u16,
}

impl Snapshot {
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.tick.to_be_bytes());
        put_number(out, self.base_age);
        out.extend_from_slice(&self.input.to_be_bytes());
        out.extend_from_slice(&self.check.to_be_bytes());
    }

    pub fn read(input: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            tick: input.long()?,
            base_age: input.number()?,
            input: input.long()?,
            check: input.short()?,
        })
    }
}

/// A deed of a player, done once even if its packets are dropped.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Deed {
    Fire { aim: u16 },
    Say { text: String },
}

impl Deed {
    pub fn write(&self) -> Vec<u8> {
        match self {
            Self::Fire { aim } => [&[1][..], &aim.to_be_bytes()].concat(),
            Self::Say { text } => {
                let mut out = vec![2];
                put_text(&mut out, text, MAX_SAID);
                out
            }
        }
    }

    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut input = Reader(bytes);
        let deed = match input.byte()? {
            1 => Self::Fire { aim: input.short()? },
            2 => Self::Say { text: presentable(&input.text(MAX_SAID)?, MAX_SAID)? },
            _ => return None,
        };
        input.end(deed)
    }
}

/// News for every player, told once and in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    Joined { player: u8, bot: bool, points: u16, name: String },
    Left { player: u8 },
    Burst { by: u8, ship: u8 },
    Said { player: u8, text: String },
}

impl News {
    pub fn write(&self) -> Vec<u8> {
        match self {
            Self::Joined { player, bot, points, name } => {
                let mut out = vec![1, *player, u8::from(*bot)];
                out.extend_from_slice(&points.to_be_bytes());
                put_text(&mut out, name, MAX_NAME);
                out
            }
            Self::Left { player } => vec![2, *player],
            Self::Burst { by, ship } => vec![3, *by, *ship],
            Self::Said { player, text } => {
                let mut out = vec![4, *player];
                put_text(&mut out, text, MAX_SAID);
                out
            }
        }
    }

    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut input = Reader(bytes);
        let kind = input.byte()?;
        let player = input.byte().filter(|player| *player < MAX_PLAYERS)?;
        let news = match kind {
            1 => {
                let (flags, points) = (input.byte()?, input.short()?);
                Self::Joined { player, bot: flags & 1 != 0, points, name: input.text(MAX_NAME)? }
            }
            2 => Self::Left { player },
            3 => Self::Burst { by: player, ship: input.byte().filter(|ship| *ship < MAX_PLAYERS)? },
            4 => Self::Said { player, text: input.text(MAX_SAID)? },
            _ => return None,
        };
        input.end(news)
    }
}

#[cfg(test)]
mod tests;
