/**
 * Compiled copies of the source in a temporary folder: once as it is, and once for every mutant with its edits made. Only
 * types are taken off; what runs is what the product runs.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import ts from 'typescript'
import { applyEdits, type Edit } from './mutant.ts'

export const root = join(import.meta.dirname, '..', '..')
/** What a probe needs of the repository. */
const folders = ['proto', 'client-sdk', 'broker', 'sim', 'test']

/** Rewrites a source file before its types are taken off. */
export type Rewrite = (source: ts.SourceFile) => ts.SourceFile

export class SourceTree {
  readonly #folder: string
  readonly #base: string
  readonly #rewrite: Rewrite | null
  /** The source as it was when the tree was made. */
  readonly #texts = new Map<string, string>()
  #copies = 0

  constructor(rewrite: Rewrite | null = null) {
    this.#folder = mkdtempSync(join(tmpdir(), 'epochcast-mutants-'))
    this.#base = join(this.#folder, 'base')
    this.#rewrite = rewrite
    for (const folder of folders) {
      for (const name of readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })) {
        if (!name.endsWith('.ts')) continue
        const file = join(folder, name)
        this.#texts.set(file, readFileSync(join(root, file), 'utf8'))
        this.#compile(this.#base, file, [])
      }
    }
    writeFileSync(join(this.#base, 'package.json'), '{"type":"module","version":"0.0.0"}')
    symlinkSync(join(root, 'node_modules'), join(this.#base, 'node_modules'))
  }

  /** The source as it is. */
  get base(): string {
    return this.#base
  }

  /** A copy with these edits; give it back with `drop`. */
  copy(edits: readonly Edit[]): string {
    const folder = join(this.#folder, `copy-${++this.#copies}`)
    cpSync(this.#base, folder, { recursive: true, verbatimSymlinks: true })
    for (const file of new Set(edits.map((edit) => edit.file))) this.#compile(folder, file, edits)
    return folder
  }

  drop(folder: string): void {
    rmSync(folder, { recursive: true, force: true })
  }

  close(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #compile(folder: string, file: string, edits: readonly Edit[]): void {
    const text = applyEdits(file, this.#texts.get(file) ?? '', edits)
    const rewrite = this.#rewrite
    const { outputText } = ts.transpileModule(text, {
      fileName: file,
      compilerOptions: {
        target: ts.ScriptTarget.ES2022,
        module: ts.ModuleKind.ESNext,
        verbatimModuleSyntax: true,
        rewriteRelativeImportExtensions: true,
        useDefineForClassFields: true,
      },
      ...(rewrite && { transformers: { before: [() => rewrite] } }),
    })
    const target = join(folder, file.replace(/\.ts$/, '.js'))
    mkdirSync(dirname(target), { recursive: true })
    writeFileSync(target, outputText)
  }
}
