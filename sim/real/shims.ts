/**
 * A library that is loaded before the C library and makes calls to the disk fail, or lie: what hardware does once in a while.
 * It is told what to do by a file, so that it can begin in the middle of a server's life.
 */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { compile } from './platform.ts'

/**
 * - `fail`: the next flush gives EIO, and so does none after it: a second try would seem to succeed
 * - `lie`: flushes say that they are done, and are not
 */
export type ShimOrder = 'nothing' | 'fail' | 'lie'

const source = `
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int order(void) {
  const char *path = getenv("EPOCHCAST_SHIM");
  char word[16] = {0};
  if (path == NULL) return 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  if (read(fd, word, sizeof word - 1) < 0) word[0] = 0;
  close(fd);
  if (strncmp(word, "lie", 3) == 0) return 2;
  if (strncmp(word, "fail", 4) != 0) return 0;
  fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
  if (fd >= 0) { if (write(fd, "done", 4) < 0) {} close(fd); }
  return 1;
}

static int flush_by(const char *name, int fd) {
  int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  switch (order()) {
    case 1: errno = EIO; return -1;
    case 2: return 0;
    default: return next(fd);
  }
}
int fsync(int fd) { return flush_by("fsync", fd); }
int fdatasync(int fd) { return flush_by("fdatasync", fd); }
`

export class Shim {
  readonly #library: string

  constructor(folder: string) {
    this.#library = compile(folder, 'shim.so', source, ['-shared', '-fPIC', '-ldl'])
  }

  /** Environment of a server that obeys the orders in a file. */
  environment(orders: string): Record<string, string> {
    return { LD_PRELOAD: this.#library, EPOCHCAST_SHIM: orders }
  }

  order(orders: string, order: ShimOrder): void {
    writeFileSync(orders, order)
  }
}

export function ordersFile(folder: string, id: string): string {
  return join(folder, `${id}.orders`)
}
