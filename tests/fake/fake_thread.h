/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fake_thread.h - make pthread_create fail, in the whole program.
 */
#ifndef TESTS_FAKE_FAKE_THREAD_H
#define TESTS_FAKE_FAKE_THREAD_H

/* The n-th thread from now (1 is the next) is refused with code, once. */
void fake_thread_fail_nth(unsigned int n, int code);

#endif
