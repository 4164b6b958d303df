// local(): the private heap of this process, without a daemon.
//
// The allocators of a region over memory that is the process's own: blocks, aligned blocks, batches
// and pools, by the same calls, at the same speed. Nobody else sees it, and it needs no daemon, no
// socket and no descriptor. It is a Session, and not a type of its own, so that whatever stands on
// a session (BlockPool, arenas, owned blocks, names) can stand on it unchanged.
//
// Size: up to 64 GiB of blocks at a time. Addresses are reserved at first use, 80 GiB and some; less
// where `ulimit -v` is tight: a quarter of what the limit allows goes to blocks. No memory is used
// before it is touched. What was freed goes back to the system by trim(), and for large blocks by
// itself, as in a region.
//
// fork(): as with malloc, parent and child each go on with a copy of their own. Other threads may be
// in the middle of a call meanwhile. What they were about to allocate is lost to the child; blocks
// that they held free serve the child's threads. Sessions in regions end in the child, this one does
// not, and its id() is the same in both.
//
// It is made by the first call of local() and never destroyed: destructors of static objects and of
// ending threads may allocate and free. close() does nothing to it. Do not use it in signal
// handlers, nor in handlers of pthread_atfork().
//
// An operator new over it: link the library allot::new, which replaces the program's global operator
// new and delete in all their forms.
#pragma once

#include <allot/export.hpp>
#include <allot/session.hpp>

namespace allot {

/// The process's private heap; always the same object. Any thread, and also before main(). Blocks
/// are owned by the process until freed, by any of its threads; alignment, errors and costs are
/// those of Session. The first call makes it (some 20 system calls) and starts no thread. If there
/// is no address space even for the least (some 300 MiB), every allocation returns nullptr and
/// last_error() says kClosed; why is what last_error() says after the first call.
///
/// Differences to a region's session: large blocks come from this process too, so no call waits for
/// anybody; memory is not set aside when it is granted, so that touching it may end the process if
/// the machine has none left; on_exit() is kNoDaemon, and a SharedArena can be made and filled, but
/// not attached read-only (kNotAllowed).
[[nodiscard]] ALLOT_EXPORT Session& local() noexcept;

}  // namespace allot
