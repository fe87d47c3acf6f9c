//! The buffers that the kernel reads into: it picks one when bytes are there, so that ten thousand
//! quiet connections cost none.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};
use uring::Submitter;
use uring::types::BufRingEntry;

/// Read buffers shared with the kernel. A buffer is the program's from the completion that names
/// it until [`Buffers::give_back`]. The memory must outlive the ring it is registered with.
#[derive(Debug)]
pub struct Buffers {
    entries: NonNull<BufRingEntry>,
    data: NonNull<u8>,
    count: u16,
    size: usize,
    tail: u16,
}

/// The one group of buffers of a ring.
pub const GROUP: u16 = 0;
/// The kernel wants the table of buffers on a page of its own.
const PAGE: usize = 4096;

impl Buffers {
    /// Buffers that no ring knows yet; `count` is a power of two up to 32,768.
    pub fn new(count: u16, size: usize) -> Self {
        assert!(count.is_power_of_two() && size > 0, "as the kernel wants it");
        let entries = zeroed(table(count)).cast();
        let data = zeroed(pool(count, size));
        Self { entries, data, count, size, tail: 0 }
    }

    /// Gives all buffers to a ring.
    pub fn register(&mut self, ring: &Submitter<'_>) -> io::Result<()> {
        let address = self.entries.as_ptr() as u64;
        #[allow(unsafe_code)] // the table is zeroed, of the size named and outlives the ring
        unsafe { ring.register_buf_ring_with_flags(address, self.count, GROUP, 0) }?;
        for id in 0..self.count {
            self.give_back(id);
        }
        Ok(())
    }

    /// The first bytes of a buffer that a completion named, as many as it said.
    pub fn bytes(&self, id: u16, length: usize) -> &[u8] {
        assert!(id < self.count && length <= self.size, "the kernel names what it was given");
        #[allow(unsafe_code)] // within the pool; the kernel writes only what was given back to it
        unsafe {
            std::slice::from_raw_parts(self.data.as_ptr().add(usize::from(id) * self.size), length)
        }
    }

    /// The kernel may use the buffer again.
    pub fn give_back(&mut self, id: u16) {
        assert!(id < self.count, "a buffer of this ring");
        let place = usize::from(self.tail & (self.count - 1));
        #[allow(unsafe_code)] // both pointers lie within what was allocated; the kernel reads
        // neither the entry before the tail says so nor the tail but as an atomic
        unsafe {
            let entry = &mut *self.entries.as_ptr().add(place);
            entry.set_addr(self.data.as_ptr().add(usize::from(id) * self.size) as u64);
            entry.set_len(u32::try_from(self.size).unwrap_or(u32::MAX));
            entry.set_bid(id);
            self.tail = self.tail.wrapping_add(1);
            let tail = BufRingEntry::tail(self.entries.as_ptr()).cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        #[allow(unsafe_code)] // allocated with these layouts; the ring that knew them is gone
        unsafe {
            dealloc(self.entries.as_ptr().cast(), table(self.count));
            dealloc(self.data.as_ptr(), pool(self.count, self.size));
        }
    }
}

fn table(count: u16) -> Layout {
    let size = usize::from(count) * size_of::<BufRingEntry>();
    Layout::from_size_align(size, PAGE).expect("less than a megabyte")
}

fn pool(count: u16, size: usize) -> Layout {
    Layout::from_size_align(usize::from(count) * size, PAGE).expect("less than a gigabyte")
}

fn zeroed(layout: Layout) -> NonNull<u8> {
    #[allow(unsafe_code)] // no layout here is empty
    let memory = unsafe { alloc_zeroed(layout) };
    NonNull::new(memory).unwrap_or_else(|| handle_alloc_error(layout))
}
