/** Makes `#name` an ordinary field called `$name`, so that the state of a machine can be read. */
import ts from 'typescript'

export function openPrivateFields(source: ts.SourceFile): ts.SourceFile {
  const opened = ts.transform(source, [
    (context) => {
      const visit = (node: ts.Node): ts.Node => {
        if (ts.isPrivateIdentifier(node)) return context.factory.createIdentifier(`$${node.text.slice(1)}`)
        return ts.visitEachChild(node, visit, context)
      }
      return (file) => ts.visitEachChild(file, visit, context)
    },
  ])
  return opened.transformed[0] as ts.SourceFile
}
