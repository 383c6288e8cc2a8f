/**
 * A disk whose power can be cut: a file system on an image file, mounted. What a process wrote and did not flush is in the
 * page cache of that file system, not in the image. A cut stops the file system at one instant, as its own tests do
 * (`FS_IOC_SHUTDOWN` without a flush of its journal), copies the image, and mounts the copy: the journal is replayed, and
 * what had not been flushed is gone.
 */
import { copyFileSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { compile, system } from './platform.ts'

const shutdownSource = `
#include <sys/ioctl.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
int main(int count, char **words) {
  for (int at = 1; at < count; at++) {
    uint32_t without_flush = 2;
    int fd = open(words[at], O_RDONLY);
    if (fd < 0 || ioctl(fd, _IOR('X', 125, uint32_t), &without_flush) != 0) { perror(words[at]); return 1; }
  }
  return 0;
}
`

/** Stops file systems of the given mounts, all by one short process. */
export class PowerSwitch {
  readonly #program: string

  constructor(folder: string) {
    this.#program = compile(folder, 'cut-power', shutdownSource)
  }

  cut(images: readonly DiskImage[]): void {
    system(
      this.#program,
      images.map((image) => image.path),
    )
  }
}

export class DiskImage {
  /** Where it is mounted. */
  readonly path: string
  readonly #folder: string
  readonly #name: string
  #generation = 0

  constructor(folder: string, name: string, megabytes: number) {
    this.#folder = folder
    this.#name = name
    this.path = join(folder, `${name}.mount`)
    mkdirSync(this.path, { recursive: true })
    system('truncate', ['-s', `${megabytes}M`, this.#file])
    system('mkfs.ext4', ['-q', '-F', '-E', 'lazy_itable_init=0,lazy_journal_init=0', this.#file])
    this.#mount()
  }

  get #file(): string {
    return join(this.#folder, `${this.#name}.${this.#generation}.img`)
  }

  /** What the disk holds now, apart from what is only in the page cache. Nobody may write meanwhile. */
  copy(): void {
    const before = this.#file
    this.#generation++
    copyFileSync(before, this.#file)
  }

  /** Goes on with the copy: the old disk is gone. No process may use it any more. */
  replaceByCopy(): void {
    system('umount', [this.path])
    rmSync(join(this.#folder, `${this.#name}.${this.#generation - 1}.img`))
    this.#mount()
  }

  remove(): void {
    try {
      system('umount', [this.path])
    } catch {
      // It ends with the namespace.
    }
    rmSync(this.#file, { force: true })
  }

  #mount(): void {
    system('mount', ['-o', 'loop,noatime', this.#file, this.path])
  }
}
