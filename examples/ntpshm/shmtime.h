/* SPDX-License-Identifier: MIT */

/*
 * The segment of an NTP reference clock: ntpd's driver 28 (SHM), the same in
 * chrony and in gpsd. Unit 0 has the key NTPSHM_BASE, unit 1 the next one.
 */

#ifndef SHMTIME_H
#define SHMTIME_H

#include <time.h>

#define NTPSHM_BASE 0x4e545030 /* "NTP0" */

struct shmTime {
	int mode; /* 1: count tells when a sample is not whole */
	volatile int count;
	time_t clockTimeStampSec; /* the reference clock's time ... */
	int clockTimeStampUSec;
	time_t receiveTimeStampSec; /* ... when the system's was this */
	int receiveTimeStampUSec;
	int leap;      /* 1: the day's last minute has 61 seconds, 2: 59 */
	int precision; /* of the clock: 2 to the power of it, in seconds */
	int nsamples;
	volatile int valid; /* there is a sample that nobody has taken */
	unsigned clockTimeStampNSec; /* the fractions again, and finer */
	unsigned receiveTimeStampNSec;
	int dummy[8];
};

#endif
