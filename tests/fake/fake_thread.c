/* SPDX-License-Identifier: Apache-2.0 */
#include "fake/fake_thread.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

typedef int create_fn(pthread_t *, const pthread_attr_t *, void *(*)(void *),
		      void *);

/* A sanitizer's runtime that is linked in statically (clang) has this one. */
create_fn __interceptor_pthread_create __attribute__((weak));

static atomic_uint countdown;
static atomic_int failure;

void fake_thread_fail_nth(unsigned int n, int code)
{
	atomic_store(&failure, code);
	atomic_store(&countdown, n);
}

/* In place of libc's, which it calls. */
__attribute__((visibility("default"))) int
pthread_create(pthread_t *thread, const pthread_attr_t *attr,
	       void *(*start)(void *), void *arg)
{
	void *next = dlsym(RTLD_NEXT, "pthread_create");
	create_fn *real = __interceptor_pthread_create;

	if (atomic_load(&countdown) && atomic_fetch_sub(&countdown, 1) == 1)
		return atomic_load(&failure);
	if (!real)
		memcpy(&real, &next, sizeof(real));
	return real(thread, attr, start, arg);
}
