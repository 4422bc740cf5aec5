//! A limit on the number of open connections. When it is reached, a connection that has not authenticated is closed in
//! favour of a new one, so that silent clients lock no one out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;

/// The interval at which to check whether all connections have closed.
const LEAVE_CHECK: Duration = Duration::from_millis(20);

/// What a connection has shown so far. Connections with the lowest standing are closed first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standing {
    /// No request yet.
    Silent,
    /// A request, but no valid token, password or user.
    Anonymous,
    /// A request with full access. Such a connection is never closed to make room.
    Allowed,
}

/// The set of open connections.
#[derive(Debug)]
pub(crate) struct Room {
    size: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// The connections by number, so that the oldest comes first.
    seats: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    standing: Standing,
    task: Option<AbortHandle>,
}

/// The slot of a connection, which is released on drop.
#[derive(Debug)]
pub(crate) struct Seat {
    room: Arc<Room>,
    number: u64,
}

impl Room {
    /// Creates a room for at most `size` simultaneous connections.
    pub(crate) fn new(size: usize) -> Arc<Room> {
        Arc::new(Room {
            size,
            state: Mutex::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a slot for a new connection, closing another one if necessary; `None` if all others have full access.
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

    /// Runs a connection on a new task; its slot is released when the task ends.
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

    /// Waits until all connections have closed.
    pub(crate) async fn emptied(&self) {
        while !self.state().seats.is_empty() {
            tokio::time::sleep(LEAVE_CHECK).await;
        }
    }
}

/// A handle that informs the room of the standing of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Badge {
    room: Arc<Room>,
    number: u64,
}

impl Badge {
    /// Raises the standing of the connection; it is never lowered.
    pub(crate) fn show(&self, standing: Standing) {
        if let Some(entry) = self.room.state().seats.get_mut(&self.number) {
            entry.standing = entry.standing.max(standing);
        }
    }
}

impl Seat {
    /// Returns the handle that informs the room of this connection's standing.
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
    fn full_room_closes_oldest_connection_of_least_standing() {
        let room = Room::new(3);
        let seats: Vec<Seat> = (0..3).filter_map(|_| room.enter()).collect();
        seats[0].badge().show(Standing::Allowed);
        seats[1].badge().show(Standing::Anonymous);
        // The connection had access once; a later request without a token does not change that.
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
