// Several threads want one block at the same instant: exactly one gets it.

#include <cstdint>
#include <vector>

#include <gtest/gtest.h>

#include <allot/session.hpp>

#include "tests/support/conformance.hpp"
#include "tests/support/threads.hpp"

namespace allot {
namespace {

using test::expect_one_winner;

class Contests : public test::Conformance {};
ALLOT_CONFORMANCE_SUITE(Contests);

TEST_P(Contests, OfTwoAtOnceOneFreesAnExposedBlock) {
  void* block = nullptr;
  expect_one_winner(300, 2,
                    {[&] {
                       block = session().allocate(64);
                       (void)session().handle_of(block).value();
                     },
                     [&](std::size_t) {
                       const Errc errc = session().free(block);
                       EXPECT_TRUE(errc == Errc::kOk || errc == Errc::kDoubleFree)
                           << describe(errc);
                       return errc == Errc::kOk;
                     },
                     [&] { expect_live(0); }});
}

TEST_P(Contests, OfManyAdoptersAndItsOwnerOneGetsTheBlock) {
  std::vector<Session*> sessions = {&session(), &add_session(), &add_session()};
  Handle handle;
  std::vector<void*> taken(3);
  expect_one_winner(300, 3,
                    {[&] {
                       handle = session().offer(session().allocate(64)).value();
                       taken.assign(3, nullptr);
                     },
                     [&](std::size_t i) {
                       auto got =
                           i == 0 ? sessions[i]->retract(handle) : sessions[i]->adopt(handle);
                       if (got) taken[i] = *got;
                       return got.has_value();
                     },
                     [&] {
                       for (std::size_t i = 0; i < 3; ++i) {
                         if (taken[i] != nullptr) {
                           EXPECT_EQ(sessions[i]->free(taken[i]), Errc::kOk);
                         }
                       }
                     }});
}

TEST_P(Contests, OfAnAdopterAndAFreeingOwnerOneGetsTheBlock) {
  Session& other = add_session();
  Handle handle;
  void* block = nullptr;
  void* taken = nullptr;
  expect_one_winner(300, 2,
                    {[&] {
                       block = session().allocate(64);
                       handle = session().offer(block).value();
                       taken = nullptr;
                     },
                     [&](std::size_t i) {
                       if (i == 0) return session().free(block) == Errc::kOk;
                       auto got = other.adopt(handle);
                       if (got) taken = *got;
                       return got.has_value();
                     },
                     [&] {
                       if (taken != nullptr) {
                         EXPECT_EQ(other.free(taken), Errc::kOk);
                       }
                     }});
}

}  // namespace
}  // namespace allot
