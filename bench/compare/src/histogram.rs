//! Latencies: every sample counted, any percentile within one percent, fixed memory, cheap to merge.

use std::time::Duration;

/// Sub-buckets per power of two, as a power of two. Seven bits give a width of 1/128.
const SUB_BITS: u32 = 7;
const SUBS: u64 = 1 << SUB_BITS;
const BUCKETS: usize = ((u64::BITS - SUB_BITS) as usize + 1) << SUB_BITS;

/// Counts of latencies in nanoseconds.
pub struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max_ns: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { buckets: vec![0; BUCKETS], count: 0, max_ns: 0 }
    }
}

impl Histogram {
    /// Counts one sample.
    #[inline]
    pub fn add(&mut self, latency: Duration) {
        let ns = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket_of(ns)] += 1;
        self.count += 1;
        self.max_ns = self.max_ns.max(ns);
    }

    /// Takes over the samples of another thread.
    pub fn merge(&mut self, other: &Histogram) {
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(mine, its)| *mine += its);
        self.count += other.count;
        self.max_ns = self.max_ns.max(other.max_ns);
    }

    /// Samples counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The latency in microseconds that `share` (0 to 1) of the samples do not exceed; 0 without samples.
    pub fn percentile_us(&self, share: f64) -> f64 {
        let rank = ((self.count as f64 * share).ceil() as u64).clamp(1, self.count.max(1));
        let mut passed = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            passed += count;
            if passed >= rank {
                return (upper_edge(bucket) as f64).min(self.max_ns as f64) / 1e3;
            }
        }
        0.0
    }

    /// The largest sample in microseconds.
    pub fn max_us(&self) -> f64 {
        self.max_ns as f64 / 1e3
    }
}

fn bucket_of(ns: u64) -> usize {
    if ns < SUBS {
        return ns as usize;
    }
    let shift = ns.ilog2() - SUB_BITS;
    ((u64::from(shift) + 1) * SUBS + ((ns >> shift) - SUBS)) as usize
}

fn upper_edge(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < SUBS {
        return bucket;
    }
    let shift = bucket / SUBS - 1;
    ((u128::from(bucket % SUBS + SUBS + 1) << shift) - 1).min(u128::from(u64::MAX)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_hold_their_values() {
        for ns in (0..100_000).chain([u64::MAX / 3, u64::MAX]) {
            let bucket = bucket_of(ns);
            assert!(upper_edge(bucket) >= ns, "{ns}");
            assert!(bucket == 0 || upper_edge(bucket - 1) < ns, "{ns}");
        }
    }

    #[test]
    fn percentiles_are_close() {
        let mut histogram = Histogram::default();
        (1..=10_000).for_each(|us| histogram.add(Duration::from_micros(us)));
        for share in [0.5, 0.99, 0.999] {
            let exact = 10_000.0 * share;
            assert!((histogram.percentile_us(share) / exact - 1.0).abs() < 0.01);
        }
        assert_eq!(histogram.max_us(), 10_000.0);
        assert_eq!(Histogram::default().percentile_us(0.5), 0.0);
    }

    #[test]
    fn merging_adds() {
        let (mut one, mut two) = (Histogram::default(), Histogram::default());
        one.add(Duration::from_micros(1));
        two.add(Duration::from_micros(9));
        one.merge(&two);
        assert_eq!((one.count(), one.max_us()), (2, 9.0));
    }
}
