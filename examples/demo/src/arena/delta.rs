//! A state as its differences from an older one that both sides have.
//!
//! | field | bytes |
//! | --- | --- |
//! | which players have a ship | number |
//! | of these, which ships differ from what follows of the older state | number |
//! | for each of those: which fields (bits 0 to 5), then these: x, y, vx, vy as signed numbers, aim, status | 1, … |
//! | shots that are gone: how many, and which of the older state's | 1, 1 each |
//! | shots that are new: how many, and each: number, owner, deed, x, y, aim, age in ticks | 1, 11 each |
//!
//! A ship's position is the difference from a straight flight since the older state; its speed is the difference from the
//! older one. Numbers are those of `wire`; bit n of a set is player n.

use std::collections::BTreeMap;

use super::rules::{MAX_PLAYERS, MAX_SHOTS, SHOT_LIFE};
use super::state::{ShipState, ShotState, State};
use super::wire::{Reader, put_number, put_signed};

const X: u8 = 1;
const Y: u8 = 2;
const VX: u8 = 4;
const VY: u8 = 8;
const AIM: u8 = 16;
const STATUS: u8 = 32;
const ALL: u8 = 63;

/// Writes the differences of `state` from `base`, which may be empty.
pub fn write(out: &mut Vec<u8>, base: &State, state: &State) {
    let ticks = state.tick.wrapping_sub(base.tick);
    let (mut present, mut differing) = (0_u32, 0_u32);
    let mut ships = Vec::new();
    for (number, ship) in &state.ships {
        present |= 1 << number;
        let old = base.ships.get(number);
        let fields = write_ship(&mut ships, old, *ship, ticks);
        differing |= u32::from(fields) << number;
    }
    put_number(out, present);
    put_number(out, differing);
    out.append(&mut ships);
    let gone = base.shots.iter().enumerate().filter(|(_, shot)| !state.shots.contains(shot));
    put_list(out, gone, |out, (index, _)| out.push(index as u8));
    let new = state.shots.iter().filter(|shot| !base.shots.contains(shot));
    put_list(out, new, |out, shot| {
        out.extend_from_slice(&shot.number.to_be_bytes());
        out.extend_from_slice(&[shot.owner, shot.deed]);
        for field in [shot.x, shot.y, shot.aim] {
            out.extend_from_slice(&field.to_be_bytes());
        }
        out.push(state.tick.wrapping_sub(shot.fired_at) as u8);
    });
}

/// Writes how many there are (fewer than 256, as `MAX_SHOTS` is), then each.
fn put_list<T>(out: &mut Vec<u8>, items: impl Iterator<Item = T>, mut put: impl FnMut(&mut Vec<u8>, T)) {
    let count = out.len();
    out.push(0);
    for item in items {
        out[count] += 1;
        put(out, item);
    }
}

/// Writes a ship if it differs. Returns whether it was written.
fn write_ship(out: &mut Vec<u8>, old: Option<&ShipState>, ship: ShipState, ticks: u32) -> bool {
    let base = old.copied().unwrap_or_default();
    let (x, y) = base.after(ticks);
    let differences = [
        (X, i64::from(ship.x) - x),
        (Y, i64::from(ship.y) - y),
        (VX, i64::from(ship.vx) - i64::from(base.vx)),
        (VY, i64::from(ship.vy) - i64::from(base.vy)),
    ];
    let mut fields =
        differences.iter().filter(|(_, value)| *value != 0).fold(0, |all, (field, _)| all | field);
    fields |= if ship.aim == base.aim { 0 } else { AIM };
    fields |= if ship.status == base.status { 0 } else { STATUS };
    if fields == 0 && old.is_some() {
        return false;
    }
    out.push(fields);
    for (_, value) in differences.into_iter().filter(|(_, value)| *value != 0) {
        put_signed(out, value);
    }
    if fields & AIM != 0 {
        out.push(ship.aim);
    }
    if fields & STATUS != 0 {
        out.push(ship.status);
    }
    true
}

/// Reads the state at `tick` from its differences from `base`. `None`: the bytes are malformed.
pub fn read(input: &mut Reader<'_>, base: &State, tick: u32) -> Option<State> {
    let ticks = tick.wrapping_sub(base.tick);
    let (present, differing) = (input.number()?, input.number()?);
    if present >> MAX_PLAYERS != 0 || differing & !present != 0 {
        return None;
    }
    let mut ships = BTreeMap::new();
    for number in (0..MAX_PLAYERS).filter(|number| present >> number & 1 != 0) {
        let old = base.ships.get(&number);
        let ship = match (differing >> number & 1 != 0, old) {
            (true, old) => read_ship(input, old.copied().unwrap_or_default(), ticks)?,
            (false, Some(old)) => straight_on(*old, ticks)?,
            (false, None) => return None,
        };
        ships.insert(number, ship);
    }
    let mut shots = base.shots.clone();
    let mut before = usize::MAX;
    let gone: Vec<usize> =
        (0..input.byte()?).map(|_| input.byte().map(usize::from)).collect::<Option<_>>()?;
    for index in gone.into_iter().rev() {
        if index >= before || index >= shots.len() {
            return None;
        }
        shots.remove(index);
        before = index;
    }
    for _ in 0..input.byte()? {
        shots.push(read_shot(input, tick)?);
    }
    (shots.len() <= MAX_SHOTS).then_some(State { tick, ships, shots })
}

fn straight_on(base: ShipState, ticks: u32) -> Option<ShipState> {
    let (x, y) = base.after(ticks);
    Some(ShipState { x: x.try_into().ok()?, y: y.try_into().ok()?, ..base })
}

fn read_ship(input: &mut Reader<'_>, base: ShipState, ticks: u32) -> Option<ShipState> {
    let fields = input.byte()?;
    if fields & !ALL != 0 {
        return None;
    }
    let (x, y) = base.after(ticks);
    let mut value = |field: u8, base: i64| {
        if fields & field == 0 { Some(base) } else { base.checked_add(input.signed()?) }
    };
    let (x, y) = (value(X, x)?, value(Y, y)?);
    let (vx, vy) = (value(VX, base.vx.into())?, value(VY, base.vy.into())?);
    Some(ShipState {
        x: x.try_into().ok()?,
        y: y.try_into().ok()?,
        vx: vx.try_into().ok()?,
        vy: vy.try_into().ok()?,
        aim: if fields & AIM == 0 { base.aim } else { input.byte()? },
        status: if fields & STATUS == 0 { base.status } else { input.byte()? },
    })
}

fn read_shot(input: &mut Reader<'_>, tick: u32) -> Option<ShotState> {
    let (number, owner, deed) = (input.short()?, input.byte()?, input.byte()?);
    let (x, y, aim, age) = (input.short()?, input.short()?, input.short()?, u32::from(input.byte()?));
    let possible = owner < MAX_PLAYERS && age <= SHOT_LIFE;
    possible.then_some(ShotState { number, owner, deed, x, y, aim, fired_at: tick.checked_sub(age)? })
}

#[cfg(test)]
mod tests;
