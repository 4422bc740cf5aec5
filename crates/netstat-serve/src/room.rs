//! Room for a fixed number of connections. When it is full, a connection that has not shown who it is makes room for a new one, so that
//! silent clients keep nobody out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;

/// Between two looks whether everybody has left.
const LEAVE_CHECK: Duration = Duration::from_millis(20);

/// What a connection has shown so far. Those with less leave first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// No request yet.
    Silent,
    /// A request, but no right token, password or user.
    Anonymous,
    /// A request that was allowed everything. It is never asked to leave.
    Allowed,
}

/// All connections that are open.
#[derive(Debug)]
pub(crate) struct Room {
    size: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// By number, so the oldest comes first.
    seats: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    standing: Standing,
    task: Option<AbortHandle>,
}

/// The place of one connection; it is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    room: Arc<Room>,
    number: u64,
}

impl Room {
    /// Room for `size` connections at once.
    pub(crate) fn new(size: usize) -> Arc<Room> {
        Arc::new(Room {
            size,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new connection; `None` when all others have been allowed in.
    pub(crate) fn enter(self: &Arc<Self>) -> Option<Seat> {
        let mut state = self.state();
        if state.seats.len() >= self.size {
            let leaving = state
                .seats
                .iter()
                .filter(|(_, entry)| entry.standing < Standing::Allowed)
                .min_by_key(|(number, entry)| (entry.standing, **number))
                .map(|(number, _)| *number)?;
            if let Some(task) = state.seats.remove(&leaving).and_then(|entry| entry.task) {
                task.abort();
            }
        }
        let number = state.next;
        state.next += 1;
        let entry = Entry {
            standing: Standing::Silent,
            task: None,
        };
        state.seats.insert(number, entry);
        Some(Seat {
            room: Arc::clone(self),
            number,
        })
    }

    /// Runs a connection that holds a seat.
    pub(crate) fn run(seat: Seat, connection: impl Future<Output = ()> + Send + 'static) {
        let (room, number) = (Arc::clone(&seat.room), seat.number);
        let task = tokio::spawn(async move {
            let _seat = seat;
            connection.await;
        });
        if let Some(entry) = room.state().seats.get_mut(&number) {
            entry.task = Some(task.abort_handle());
        }
    }

    /// Waits until nobody is left.
    pub(crate) async fn emptied(&self) {
        while !self.state().seats.is_empty() {
            tokio::time::sleep(LEAVE_CHECK).await;
        }
    }
}

/// Tells the room what a connection has shown.
#[derive(Clone, Debug)]
pub(crate) struct Badge {
    room: Arc<Room>,
    number: u64,
}

impl Badge {
    /// Notes what the connection has shown; it never shows less than before.
    pub(crate) fn show(&self, standing: Standing) {
        if let Some(entry) = self.room.state().seats.get_mut(&self.number) {
            entry.standing = entry.standing.max(standing);
        }
    }
}

impl Seat {
    /// What informs the room about this connection.
    pub(crate) fn badge(&self) -> Badge {
        Badge {
            room: Arc::clone(&self.room),
            number: self.number,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.room.state().seats.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_room_lets_the_oldest_with_the_least_standing_go() {
        let room = Room::new(3);
        let seats: Vec<Seat> = (0..3).filter_map(|_| room.enter()).collect();
        seats[0].badge().show(Standing::Allowed);
        seats[1].badge().show(Standing::Anonymous);
        // It was allowed once; a later request without a token changes nothing.
        seats[0].badge().show(Standing::Anonymous);
        let present = |room: &Room| room.state().seats.keys().copied().collect::<Vec<_>>();
        let third = room.enter().unwrap();
        assert_eq!(present(&room), [0, 1, 3]);
        third.badge().show(Standing::Anonymous);
        let fourth = room.enter().unwrap();
        assert_eq!(present(&room), [0, 3, 4]);
        third.badge().show(Standing::Allowed);
        fourth.badge().show(Standing::Allowed);
        assert!(room.enter().is_none());
        drop((seats, third));
        assert_eq!(present(&room), [4]);
    }
}
