use super::*;

#[test]
fn a_pool_keeps_no_large_buffers() {
    let mut pool = Pool::new(16);
    for length in [100, 60_000, 1_150, 65_000] {
        for _ in 0..32 {
            assert_eq!(pool.fill(&alloc::vec![9; length]).len(), length);
        }
    }
    let kept: usize = pool.buffers.iter().map(|buffer| buffer.capacity()).sum();
    assert!(kept < 16 * 4_096, "{kept} bytes kept");
}
