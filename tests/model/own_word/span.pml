/* A span of small blocks: granted, carved, used, handed over, returned, orphaned, recovered. */
#include "own_word.pml"
#include "region.pml"
#include "small_blocks.pml"
#include "blocks.pml"
#include "session.pml"

/* RegionCore::free_span() */
inline free_span() { span = NOBODY }

#include "daemon.pml"
#include "fates.pml"
