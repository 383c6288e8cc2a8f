/** The part of fs-native-extensions that is used here; the package brings no types. */
declare module 'fs-native-extensions' {
  /**
   * Tries to lock a whole open file for this process, without waiting (on Linux an open file description lock).
   * The kernel frees the lock when the descriptor is closed or the process dies, however it dies.
   * @param fd opened for writing; a read-only descriptor or a directory throws `EBADF`
   * @returns false when somebody else holds it, another descriptor of this same process included
   */
  export function tryLock(fd: number): boolean

  /** Gives the lock back; closing the descriptor does the same. */
  export function unlock(fd: number): void
}
