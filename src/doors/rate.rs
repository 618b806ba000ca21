//! How often somebody may ask.
//!
//! A bucket is one number, the moment at which it would be full again ("theoretical arrival time" of the generic cell rate algorithm): 8
//! bytes and one compare-and-swap, no thread that fills buckets. The crate that does the same keeps a map that grows with whoever knocks;
//! here a key's buckets stand beside the key, and the addresses of strangers have a table of fixed size.

use super::options::Rate;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;

/// A bucket of requests, full at first. The caller counts nanoseconds from any beginning.
#[derive(Debug, Default)]
pub(super) struct Bucket(AtomicU64);

impl Bucket {
    /// Takes one request out.
    ///
    /// # Errors
    /// Where the bucket is empty: how long until there is one.
    pub fn take(&self, rate: Rate, now: u64) -> Result<(), Duration> {
        let each = SECOND / u64::from(rate.per_second.max(1));
        let room = each * u64::from(rate.burst.max(1));
        let take = |full_at: u64| Some(full_at.max(now) + each).filter(|next| next - now <= room);
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) {
            Ok(_) => Ok(()),
            Err(full_at) => Err(Duration::from_nanos((full_at + each).saturating_sub(now + room))),
        }
    }

    /// Whether nobody would notice if the bucket were a new one.
    fn is_full(&self, now: u64) -> bool {
        self.0.load(Ordering::Relaxed) <= now
    }
}

/// The most addresses that are told apart.
const PEERS_MAX: usize = 10_000;

/// Buckets of addresses from which failures came. Further addresses share one when the table is full.
#[derive(Debug, Default)]
pub(super) struct Peers(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    buckets: HashMap<IpAddr, Bucket>,
    shared: Bucket,
    /// When full buckets were last thrown out.
    swept: u64,
}

impl Peers {
    /// Notes a failure from `peer`.
    ///
    /// # Errors
    /// Where there were too many: how long until the next one is heard.
    pub fn fail(&self, peer: IpAddr, rate: Rate, now: u64) -> Result<(), Duration> {
        let peer = household(peer);
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bucket) = table.buckets.get(&peer) {
            return bucket.take(rate, now);
        }
        // At most once a second, so that a crowd of addresses does not make each of its requests walk the table.
        if table.buckets.len() >= PEERS_MAX && now >= table.swept + SECOND {
            table.swept = now;
            table.buckets.retain(|_, bucket| !bucket.is_full(now));
        }
        if table.buckets.len() >= PEERS_MAX {
            return table.shared.take(rate, now);
        }
        table.buckets.entry(peer).or_default().take(rate, now)
    }
}

/// Whoever has one address of version 6 has the 2^64 beside it.
fn household(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RATE: Rate = Rate { per_second: 10, burst: 3 };

    #[test]
    fn a_burst_is_let_through_and_then_the_rate() {
        let bucket = Bucket::default();
        let at = |milliseconds: u64| 5 * SECOND + milliseconds * 1_000_000;
        for _ in 0..3 {
            assert_eq!(bucket.take(RATE, at(0)), Ok(()));
        }
        assert_eq!(bucket.take(RATE, at(0)), Err(Duration::from_millis(100)));
        assert_eq!(bucket.take(RATE, at(60)), Err(Duration::from_millis(40)));
        assert_eq!(bucket.take(RATE, at(100)), Ok(()));
        assert_eq!(bucket.take(RATE, at(100)), Err(Duration::from_millis(100)));
        for _ in 0..3 {
            assert_eq!(bucket.take(RATE, at(10_000)), Ok(()), "rest fills the bucket, no more");
        }
        assert!(bucket.take(RATE, at(10_000)).is_err());
    }

    proptest! {
        /// Against a bucket that counts in exact fractions. Planted mistake it caught: `room` one request larger.
        #[test]
        fn it_is_a_bucket(steps in prop::collection::vec(0u64..400_000_000, 1..200), per_second in 1u32..50, burst in 1u32..8) {
            let (rate, bucket) = (Rate { per_second, burst }, Bucket::default());
            let each = SECOND / u64::from(per_second);
            let (mut now, mut level, mut last) = (0, u64::from(burst) * each, 0);
            for step in steps {
                now += step;
                level = (level + now - last).min(u64::from(burst) * each);
                last = now;
                let taken = bucket.take(rate, now);
                prop_assert_eq!(taken.is_ok(), level >= each);
                match taken {
                    Ok(()) => level -= each,
                    Err(wait) => prop_assert_eq!(wait.as_nanos() as u64, each - level),
                }
            }
        }
    }

    #[test]
    fn neighbours_of_one_household_share_a_bucket() {
        let peers = Peers::default();
        let fail = |peer: &str| peers.fail(peer.parse().expect("an address"), RATE, 0).is_ok();
        assert!(fail("2001:db8::1") && fail("2001:db8::2") && fail("2001:db8::ffff:1"));
        assert!(!fail("2001:db8::3"));
        assert!(fail("2001:db8:0:1::3"), "another household");
        assert!(fail("192.0.2.1") && fail("::ffff:192.0.2.1") && fail("192.0.2.1"));
        assert!(!fail("::ffff:192.0.2.1"), "the same address, written otherwise");
        assert!(fail("192.0.2.2"));
    }

    #[test]
    fn a_crowd_does_not_grow_the_table() {
        let peers = Peers::default();
        let peer = |number: u32| IpAddr::from(number.to_be_bytes());
        for number in 0..PEERS_MAX as u32 {
            peers.fail(peer(number), RATE, 0).expect("the first of each");
        }
        for number in 0..3 {
            peers.fail(peer(1 << 24 | number), RATE, 0).expect("the shared bucket's burst");
        }
        peers.fail(peer(1 << 25), RATE, 0).expect_err("strangers share what is left");
        peers.fail(peer(7), RATE, 0).expect("whoever has a bucket keeps it");
        assert_eq!(peers.0.lock().expect("sound").buckets.len(), PEERS_MAX);
        peers.fail(peer(1 << 26), RATE, 2 * SECOND).expect("buckets that are full again made room");
        assert_eq!(peers.0.lock().expect("sound").buckets.len(), 1);
    }
}
