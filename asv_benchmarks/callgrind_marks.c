/* callgrind_marks.c -- where counting begins and ends, for instruction_counts.py: requests to valgrind, which cost
 * nothing outside of it. */
#include <valgrind/callgrind.h>

void start_counting(void) { CALLGRIND_ZERO_STATS; }
void stop_counting(const char *label) { CALLGRIND_DUMP_STATS_AT(label); }
