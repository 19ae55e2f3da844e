/* What the pieces of C in docs/locks.md take for granted. */

#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sys/ipc.h>
#include <sys/sem.h>
#include <time.h>
#include <unistd.h>

union semun {
	int val;
	struct semid_ds *buf;
	unsigned short *array;
};

struct account {
	pthread_mutex_t mutex;
};

static key_t key;
static int id, r;
static union semun un;
static struct semid_ds ds;
static struct timespec t;
static struct account *account;
static pthread_mutexattr_t attr;
