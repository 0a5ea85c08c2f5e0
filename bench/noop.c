/* SPDX-License-Identifier: Apache-2.0 */
/*
 * noop.c - a program that does nothing, static: what it costs to start and
 * reap a process is what a request that is answered by a machine is held
 * against.
 */
int main(void)
{
	return 0;
}
