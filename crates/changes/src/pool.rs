//! What very many tables say alike, held once.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

/// Values of which equal ones share one place: column lists, types, operators. Where a schema
/// stands once for each tenant, 200,000 tables have a few dozen of each. What is taken out of it
/// outlives it.
#[derive(Debug)]
pub struct Pool<T: ?Sized>(HashSet<Arc<T>>);

impl<T: ?Sized> Default for Pool<T> {
    fn default() -> Self {
        Pool(HashSet::new())
    }
}

impl<T: ?Sized + Eq + Hash> Pool<T> {
    /// The value, where an equal one lies already.
    pub fn share(&mut self, value: impl Into<Arc<T>>) -> Arc<T> {
        let value = value.into();
        if let Some(held) = self.0.get(&*value) {
            return Arc::clone(held);
        }
        self.0.insert(Arc::clone(&value));
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_held_once() {
        let mut pool: Pool<[u8]> = Pool::default();
        let first = pool.share(vec![1, 2]);
        let other = pool.share(vec![1]);
        let again = pool.share(vec![1, 2]);
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!((&*other, &*again), (&[1][..], &[1, 2][..]));
    }
}
