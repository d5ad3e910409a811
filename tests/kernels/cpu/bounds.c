/* What compiled code calls before each of its loads and stores when bounds.py has put checks there: the bytes must
   lie in memory that was allowed, or on the stack of the thread. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { MOST = 256 };

static struct {
    uintptr_t begin, end;
} allowed[MOST];
static int count;
long checks; /* in the whole process; threads may lose some */
static __thread uintptr_t stack_begin, stack_end;

void bounds_allow(uintptr_t begin, uint64_t size)
{
    if (count == MOST)
        abort();
    allowed[count].begin = begin; /* the caller holds the GIL; other threads may be looking */
    allowed[count].end = begin + size;
    __atomic_fetch_add(&count, 1, __ATOMIC_RELEASE);
}

void bounds_forget(void) { count = 0; }

static void find_stack(void)
{
    pthread_attr_t attributes;
    void *lowest;
    size_t size;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &lowest, &size);
    pthread_attr_destroy(&attributes);
    stack_begin = (uintptr_t)lowest;
    stack_end = stack_begin + size;
}

void bounds_check(uintptr_t begin, uint64_t size, const char *function)
{
    uintptr_t end = begin + size;
    checks++;
    if (size == 0)
        return;
    for (int i = 0; i < count; i++)
        if (begin >= allowed[i].begin && end <= allowed[i].end)
            return;
    if (!stack_end)
        find_stack();
    if (begin >= stack_begin && end <= stack_end)
        return;
    fprintf(stderr, "out of bounds: %lu bytes at %#lx in %s\n", (unsigned long)size, (unsigned long)begin, function);
    for (int i = 0; i < count; i++)
        if (begin < allowed[i].end + 4096 && end + 4096 > allowed[i].begin)
            fprintf(stderr, "  near buffer %d, %ld bytes behind its beginning, which is %ld bytes long\n", i,
                    (long)(begin - allowed[i].begin), (long)(allowed[i].end - allowed[i].begin));
    abort();
}

void bounds_check_lanes(uintptr_t begin, uint64_t size, uint64_t lanes, const char *function)
{
    for (; lanes; lanes >>= 1, begin += size)
        if (lanes & 1)
            bounds_check(begin, size, function);
}
