//! Which ids were met lately: a busy merchant's name is told once, not once a payment.

use crate::event::Id;

/// Sets of four ids, by their high bits, the latest first: one cache line a set. Forgetting one does no harm: it is told again.
pub struct Recent(Box<[[u128; 4]]>);

impl Recent {
    /// Room for four times `sets` ids, 64 bytes a set.
    pub fn new(sets: usize) -> Recent {
        Recent(vec![[0; 4]; sets].into())
    }

    /// Whether `id` was not met lately; from now on it was.
    pub fn is_news(&mut self, id: Id) -> bool {
        let set = self.set(id);
        let found = set.iter().position(|recent| *recent == id.bits());
        set[..=found.unwrap_or(3)].rotate_right(1);
        set[0] = id.bits();
        found.is_none()
    }

    /// Forgets one.
    pub fn forget(&mut self, id: Id) {
        self.set(id).iter_mut().filter(|recent| **recent == id.bits()).for_each(|recent| *recent = 0);
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.fill([0; 4]);
    }

    fn set(&mut self, id: Id) -> &mut [u128; 4] {
        let sets = self.0.len();
        &mut self.0[id.high() as usize % sets]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_four_of_a_set_are_known() {
        let mut recent = Recent::new(1);
        let id = |number: u128| Id::from_bits(number + 1);
        assert!((0..4).all(|number| recent.is_news(id(number))));
        // Caught when planted: an id met again that did not come to the front.
        assert!(!recent.is_news(id(0)) && recent.is_news(id(4)) && !recent.is_news(id(0)) && recent.is_news(id(1)));
        recent.forget(id(0));
        assert!(recent.is_news(id(0)));
        recent.clear();
        assert!(recent.is_news(id(0)));
    }
}
