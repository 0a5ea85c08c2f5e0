/* SPDX-License-Identifier: Apache-2.0 */
/*
 * slim.c - keeps what we never use out of our static tools.
 *
 * libcap-ng is one object file, so all that any of its functions names comes
 * along: getpwuid and initgroups bring the C library's name services (300
 * KiB and a loader for modules), sscanf its floating point and wide
 * characters, syslog its clock (120 KiB).  These stand in for them.  Not in
 * the library: there they would take the place of an embedder's.
 */
#include <errno.h>
#include <grp.h>
#include <locale.h>
#include <pwd.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int slim_sscanf(const char *text, const char *fmt,
		...) __asm__("__isoc99_sscanf");
void slim_syslog(int priority, int flag, const char *fmt,
		 ...) __asm__("__syslog_chk");

/* Only capng_change_id asks, which caps.c does not call. */
struct passwd *getpwuid(uid_t uid)
{
	(void)uid;
	errno = ENOSYS;
	return NULL;
}

int initgroups(const char *user, gid_t group)
{
	(void)user;
	(void)group;
	errno = ENOSYS;
	return -1;
}

/*
 * libcap-ng reads the bounding and ambient set of /proc/PID/status with it;
 * caps.c asks the kernel instead.  Any other use would be a bug of ours.
 */
int slim_sscanf(const char *text, const char *fmt, ...)
{
	(void)text;
	if (strncmp(fmt, "Cap", 3) != 0)
		abort();
	return 0;
}

/* Its complaint about wrong use of capng_apply. */
void slim_syslog(int priority, int flag, const char *fmt, ...)
{
	(void)priority;
	(void)flag;
	(void)fmt;
}

/*
 * The C library has these five to seven times each, for as many processors,
 * 45 KiB in all; json-c and strtod compare single words with them ("null",
 * "nan").  The tools stay in the C locale.
 */
int __strcasecmp(const char *a, const char *b);
int __strncasecmp(const char *a, const char *b, size_t n);
int __strcasecmp_l(const char *a, const char *b, locale_t locale);
int __strncasecmp_l(const char *a, const char *b, size_t n, locale_t locale);

static int lower(char c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : (unsigned char)c;
}

int strncasecmp(const char *a, const char *b, size_t n)
{
	for (; n > 0; a++, b++, n--)
		if (lower(*a) != lower(*b) || !*a)
			return lower(*a) - lower(*b);
	return 0;
}

int strcasecmp(const char *a, const char *b)
{
	return strncasecmp(a, b, SIZE_MAX);
}

int __strcasecmp(const char *a, const char *b)
{
	return strcasecmp(a, b);
}

int __strncasecmp(const char *a, const char *b, size_t n)
{
	return strncasecmp(a, b, n);
}

int __strcasecmp_l(const char *a, const char *b, locale_t locale)
{
	(void)locale;
	return strcasecmp(a, b);
}

int __strncasecmp_l(const char *a, const char *b, size_t n, locale_t locale)
{
	(void)locale;
	return strncasecmp(a, b, n);
}

/*
 * The unwinder (20 KiB): for threads that are cancelled or end by
 * pthread_exit, of which there are none, through tables that the tools do not
 * carry (noeh.ld).
 */
void _Unwind_Resume(void *exception);
int _Unwind_ForcedUnwind(void *exception, void *stop, void *arg);
uintptr_t _Unwind_GetCFA(void *context);
int __gcc_personality_v0(void);

void _Unwind_Resume(void *exception)
{
	(void)exception;
	abort();
}

int _Unwind_ForcedUnwind(void *exception, void *stop, void *arg)
{
	(void)exception;
	(void)stop;
	(void)arg;
	abort();
}

uintptr_t _Unwind_GetCFA(void *context)
{
	(void)context;
	abort();
}

int __gcc_personality_v0(void)
{
	abort();
}

/*
 * Of the C library's wide streams, which no code of ours opens, tables of
 * transliteration, converters in modules with the loader for them, and a
 * second printf; of its translated messages, for which the tools would have to
 * set a locale, their catalogues.  76 KiB in all.
 */
int slim_transliterate(void) __asm__("__gconv_transliterate");
void *slim_find_shlib(const char *name) __asm__("__gconv_find_shlib");
void slim_release_shlib(void *handle) __asm__("__gconv_release_shlib");
int slim_vfwprintf(void) __asm__("__vfwprintf_internal");
char *slim_gettext(const char *domain, const char *id,
		   int category) __asm__("__dcgettext");

int slim_transliterate(void)
{
	return 6; /* __GCONV_ILLEGAL_INPUT: no way to say it */
}

void *slim_find_shlib(const char *name)
{
	(void)name;
	return NULL;
}

void slim_release_shlib(void *handle)
{
	(void)handle;
}

int slim_vfwprintf(void)
{
	abort();
}

char *slim_gettext(const char *domain, const char *id, int category)
{
	(void)domain;
	(void)category;
	return (char *)id;
}

/*
 * A thread has a place for the state of the resolver, and who declares that
 * brings the resolver along (22 KiB); nobody here resolves a name.
 */
__thread void *slim_resolver __asm__("__libc_resp");

/*
 * json-c takes care that numbers have a point, whatever locale is set.  The
 * tools set none: locales that could be loaded (14 KiB) are the one there is.
 */
locale_t newlocale(int mask, const char *name, locale_t base)
{
	(void)mask;
	(void)name;
	return base;
}

locale_t duplocale(locale_t locale)
{
	return locale;
}

void freelocale(locale_t locale)
{
	(void)locale;
}
