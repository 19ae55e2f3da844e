//go:build linux && cgo

package pshared_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gosysv/shm/internal/cpeer"
	"github.com/gosysv/shm/layout"
	"github.com/gosysv/shm/pshared"
)

// TestImagesAreC: the images have the sizes and alignments of the C types, as
// the peer's compiler has them.
func TestImagesAreC(t *testing.T) {
	answer, err := startC(t, nil).Do("ptlayout")
	ok(t, err)
	type sizes struct{ Size, Align uintptr }
	inC := map[string]sizes{}
	for ; len(answer) >= 3; answer = answer[3:] {
		inC[answer[0]] = sizes{uintptr(must(strconv.Atoi(answer[1]))), uintptr(must(strconv.Atoi(answer[2])))}
	}
	inGo := map[string]sizes{}
	for name, image := range map[string]reflect.Type{
		"pthread_mutex_t":  reflect.TypeFor[pshared.MutexT](),
		"sem_t":            reflect.TypeFor[pshared.SemT](),
		"pthread_cond_t":   reflect.TypeFor[pshared.CondT](),
		"pthread_rwlock_t": reflect.TypeFor[pshared.RWLockT](),
	} {
		inGo[name] = sizes{image.Size(), uintptr(image.Align())}
	}
	if diff := cmp.Diff(inC, inGo); diff != "" {
		t.Errorf("the images differ (-C +Go):\n%s", diff)
	}
}

// TestImagesInStructs: a struct that has the images lies in memory as the C
// struct that has the objects.
func TestImagesInStructs(t *testing.T) {
	const program = `
#include <pthread.h>
#include <semaphore.h>

struct counter {
	pthread_mutex_t lock;
	long count;
};

struct crowded {
	char a;
	pthread_mutex_t mutex;
	char b;
	sem_t sem;
	short c;
	pthread_cond_t cond;
	char d;
	pthread_rwlock_t rwlock;
	char e;
};

struct counter counter;
struct crowded crowded;

int main(void)
{
	return 0;
}
`
	source := filepath.Join(t.TempDir(), "structs.c")
	ok(t, os.WriteFile(source, []byte(program), 0o600))
	elf := cpeer.Build(t, source, "-pthread")

	type counter struct {
		Lock  pshared.MutexT
		Count int
	}
	type crowded struct {
		A      uint8
		Mutex  pshared.MutexT
		B      uint8
		Sem    pshared.SemT
		C      int16
		Cond   pshared.CondT
		D      uint8
		RWLock pshared.RWLockT
		E      uint8
	}
	ok(t, layout.Check[counter](elf, "struct counter"))
	ok(t, layout.Check[crowded](elf, "struct crowded"))

	type late struct { // the mistake that is to be found
		Pid   int32
		Lock  pshared.MutexT
		Count int
	}
	if err := layout.Check[late](elf, "struct counter"); err == nil {
		t.Error("a struct with a member too many passes")
	}
}
