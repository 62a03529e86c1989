//! The ids that name a connection in punches (PATHS.md 3).

use alloc::boxed::Box;

use subtle::ConstantTimeEq;

/// An id, and the token by which a restarted host says that it has lost the connection. The host has no use for the token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct PathId {
    pub(crate) id: u64,
    pub(crate) token: [u8; 16],
}

/// The next id.
struct Spare {
    id: PathId,
    sharing: Sharing,
}

/// What the other side knows of an id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sharing {
    /// The other side was not told, or its confirmation was lost.
    Untold,
    /// It is told of it by the message with this serial.
    Told(u16),
    /// It has it.
    Shared,
}

/// The ids of one connection.
pub(crate) struct PathIds {
    current: PathId,
    /// Behind a pointer, because few connections ever have one.
    spare: Option<Box<Spare>>,
    /// Whether this side has moved, and uses the spare.
    uses_spare: bool,
}

impl PathIds {
    pub(crate) fn new(first: PathId) -> Self {
        Self { current: first, spare: None, uses_spare: false }
    }

    /// The id for what is sent now.
    pub(crate) fn sends(&self) -> u64 {
        self.used().id
    }

    /// The ids with which punches are taken.
    pub(crate) fn all(&self) -> impl Iterator<Item = u64> + '_ {
        [Some(self.current.id), self.spare.as_ref().map(|spare| spare.id.id)].into_iter().flatten()
    }

    pub(crate) fn has_spare(&self) -> bool {
        self.spare.is_some()
    }

    /// A spare from the host, which has it, too. Returns the id that is forgotten for it, if there is one: the host gives a spare only
    /// when it uses the one before.
    pub(crate) fn take_spare(&mut self, id: PathId) -> Option<u64> {
        let before = self.spare.as_ref().map(|spare| spare.id.id);
        let forgotten = before.and_then(|before| self.was_used(before));
        self.add_spare(id, Sharing::Shared);
        forgotten
    }

    /// A spare, which the other side has (at the initiator) or is to be told (at the host).
    pub(crate) fn add_spare(&mut self, id: PathId, sharing: Sharing) {
        self.spare = Some(Box::new(Spare { id, sharing }));
    }

    /// The spare, if the other side is to be told of it.
    pub(crate) fn untold(&self) -> Option<PathId> {
        self.spare.as_ref().filter(|spare| spare.sharing == Sharing::Untold).map(|spare| spare.id)
    }

    /// The message with this serial tells the other side of the spare.
    pub(crate) fn spare_was_told(&mut self, serial: u16) {
        self.share(Sharing::Untold, Sharing::Told(serial));
    }

    /// The other side has the spare, if this message told of it. It may have told of one that is in use by now.
    pub(crate) fn spare_was_received(&mut self, serial: u16) {
        self.share(Sharing::Told(serial), Sharing::Shared);
    }

    /// The other side does not say that it has the spare of this message. It may use it all the same: the spare stays, and is told
    /// again.
    pub(crate) fn spare_was_lost(&mut self, serial: u16) {
        self.share(Sharing::Told(serial), Sharing::Untold);
    }

    fn share(&mut self, from: Sharing, to: Sharing) {
        if let Some(spare) = self.spare.as_mut().filter(|spare| spare.sharing == from) {
            spare.sharing = to;
        }
    }

    /// This side is in another network, where the current id must not be seen.
    pub(crate) fn moved(&mut self) {
        self.uses_spare = self.spare.as_ref().is_some_and(|spare| spare.sharing == Sharing::Shared);
    }

    /// The other side has used this id. If it is the spare, it is the current one from now on, and the old one is returned.
    pub(crate) fn was_used(&mut self, id: u64) -> Option<u64> {
        let spare = self.spare.take_if(|spare| spare.id.id == id)?;
        self.uses_spare = false;
        Some(core::mem::replace(&mut self.current, spare.id).id)
    }

    /// Returns whether this is the token of the id that is used, in constant time. A host that has the newer id forgets the older one, and
    /// says so to anybody who replays a punch with it.
    pub(crate) fn has_token(&self, token: &[u8; 16]) -> bool {
        self.used().token.ct_eq(token).into()
    }

    fn used(&self) -> &PathId {
        match &self.spare {
            Some(spare) if self.uses_spare => &spare.id,
            _ => &self.current,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: u64) -> PathId {
        PathId { id, token: [id as u8; 16] }
    }

    #[test]
    fn a_side_that_moves_uses_the_spare_if_the_other_side_has_it() {
        let mut ids = PathIds::new(id(1));
        ids.moved();
        assert_eq!(ids.sends(), 1);
        ids.add_spare(id(2), Sharing::Untold);
        ids.spare_was_told(5);
        ids.moved();
        assert_eq!(ids.sends(), 1);
        ids.spare_was_received(5);
        assert_eq!(ids.sends(), 1);
        assert!(ids.has_token(&[1; 16]) && !ids.has_token(&[2; 16]));
        ids.moved();
        // Punches with either id are taken. The host may have forgotten the older one, though it lives.
        assert_eq!((ids.sends(), ids.all().collect::<alloc::vec::Vec<_>>()), (2, alloc::vec![1, 2]));
        assert!(!ids.has_token(&[1; 16]) && ids.has_token(&[2; 16]));
        assert_eq!((ids.was_used(1), ids.was_used(2)), (None, Some(1)));
        assert_eq!((ids.sends(), ids.has_spare(), ids.has_token(&[1; 16])), (2, false, false));
    }

    #[test]
    fn a_spare_that_was_not_received_is_kept_and_told_again() {
        let mut ids = PathIds::new(id(1));
        ids.add_spare(id(2), Sharing::Untold);
        ids.spare_was_told(5);
        assert!(ids.untold().is_none());
        ids.spare_was_lost(5);
        assert_eq!(ids.untold().map(|spare| spare.id), Some(2));
        ids.spare_was_told(6);
        ids.spare_was_received(6);
        ids.moved();
        assert_eq!((ids.untold().is_none(), ids.sends()), (true, 2));
    }

    #[test]
    fn the_late_word_on_an_older_spare_says_nothing_of_the_newer_one() {
        let mut ids = PathIds::new(id(1));
        ids.add_spare(id(2), Sharing::Untold);
        ids.spare_was_told(5);
        // The other side uses it before its word on the message comes.
        assert_eq!(ids.was_used(2), Some(1));
        ids.add_spare(id(3), Sharing::Untold);
        ids.spare_was_told(6);
        ids.spare_was_received(5);
        ids.moved();
        assert_eq!(ids.sends(), 2);
    }

    #[test]
    fn the_next_spare_shows_that_the_one_before_is_used() {
        let mut ids = PathIds::new(id(1));
        assert_eq!(ids.take_spare(id(2)), None);
        ids.moved();
        // The host's punch with it was lost, but what it gives next was not.
        assert_eq!(ids.take_spare(id(3)), Some(1));
        assert_eq!((ids.sends(), ids.all().collect::<alloc::vec::Vec<_>>()), (2, alloc::vec![2, 3]));
    }
}
