//! Tables as Parquet, where the program was built with the feature `parquet`.

use crate::results::columns::Row;
use anyhow::Result;

/// What a program without the feature says.
#[cfg(not(feature = "parquet"))]
const MISSING: &str =
    "this program was built without Parquet: build it with `cargo build --release --features parquet`, or write .csv";

/// Says whether Parquet can be written.
///
/// # Errors
/// The program was built without it.
pub fn available() -> Result<()> {
    #[cfg(not(feature = "parquet"))]
    anyhow::bail!(MISSING);
    #[cfg(feature = "parquet")]
    Ok(())
}

/// The rows as a Parquet file.
///
/// # Errors
/// The program was built without it.
#[cfg(not(feature = "parquet"))]
pub fn bytes(_rows: &[Row]) -> Result<Vec<u8>> {
    anyhow::bail!(MISSING)
}

/// The rows as a Parquet file: the columns of the CSV, each with the narrowest of the types boolean, 64-bit integer, double and text that
/// holds all its values. All columns are optional; values are plain and not compressed.
///
/// # Errors
/// None that a table can cause: the file is made in memory.
#[cfg(feature = "parquet")]
pub fn bytes(rows: &[Row]) -> Result<Vec<u8>> {
    writer::bytes(rows)
}

#[cfg(feature = "parquet")]
mod writer {
    use super::Row;
    use crate::output;
    use crate::results::columns::text;
    use anyhow::Result;
    use parquet::basic::{LogicalType, Repetition, Type as PhysicalType};
    use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
    use parquet::file::properties::{WriterProperties, WriterVersion};
    use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
    use parquet::schema::types::Type;
    use serde_json::Value;
    use std::collections::BTreeMap;
    use std::sync::Arc;

    /// Type of a column.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Kind {
        Truth,
        Whole,
        Real,
        Text,
    }

    struct Column<'a> {
        name: &'a str,
        kind: Kind,
        values: Vec<&'a Value>,
    }

    pub(super) fn bytes(rows: &[Row]) -> Result<Vec<u8>> {
        let columns = columns(rows);
        let fields = columns.iter().map(|column| Ok(Arc::new(field(column)?))).collect::<Result<_>>()?;
        let schema = Arc::new(Type::group_type_builder("results").with_fields(fields).build()?);
        let properties =
            WriterProperties::builder().set_writer_version(WriterVersion::PARQUET_1_0).set_dictionary_enabled(false).build();
        let mut file = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties))?;
        let mut group = file.next_row_group()?;
        for column in &columns {
            if let Some(mut writer) = group.next_column()? {
                write(&mut writer, column)?;
                writer.close()?;
            }
        }
        group.close()?;
        Ok(file.into_inner()?)
    }

    fn columns(rows: &[Row]) -> Vec<Column<'_>> {
        let rows_by_name: Vec<BTreeMap<&str, &Value>> =
            rows.iter().map(|row| row.iter().map(|(name, value)| (name.as_str(), value)).collect()).collect();
        let column = |name| {
            let values: Vec<&Value> = rows_by_name.iter().map(|row| row.get(name).copied().unwrap_or(&Value::Null)).collect();
            Column { name, kind: kind(&values), values }
        };
        output::columns(rows).into_iter().map(column).collect()
    }

    /// The narrowest type that holds all values; numbers when there are none.
    fn kind(values: &[&Value]) -> Kind {
        let all = |holds: fn(&Value) -> bool| values.iter().all(|value| value.is_null() || holds(value));
        match values.iter().all(|value| value.is_null()) {
            true => Kind::Real,
            false if all(Value::is_boolean) => Kind::Truth,
            false if all(Value::is_i64) => Kind::Whole,
            false if all(Value::is_number) => Kind::Real,
            false => Kind::Text,
        }
    }

    fn field(column: &Column) -> Result<Type> {
        let (physical, logical) = match column.kind {
            Kind::Truth => (PhysicalType::BOOLEAN, None),
            Kind::Whole => (PhysicalType::INT64, None),
            Kind::Real => (PhysicalType::DOUBLE, None),
            Kind::Text => (PhysicalType::BYTE_ARRAY, Some(LogicalType::String)),
        };
        let builder = Type::primitive_type_builder(column.name, physical).with_repetition(Repetition::OPTIONAL);
        Ok(builder.with_logical_type(logical).build()?)
    }

    fn write(writer: &mut SerializedColumnWriter, column: &Column) -> Result<()> {
        match column.kind {
            Kind::Truth => write_values::<BoolType>(writer, column, Value::as_bool),
            Kind::Whole => write_values::<Int64Type>(writer, column, Value::as_i64),
            Kind::Real => write_values::<DoubleType>(writer, column, Value::as_f64),
            Kind::Text => write_values::<ByteArrayType>(writer, column, |value| {
                (!value.is_null()).then(|| ByteArray::from(text(value).into_bytes()))
            }),
        }
    }

    fn write_values<T: DataType>(
        writer: &mut SerializedColumnWriter,
        column: &Column,
        value: impl Fn(&Value) -> Option<T::T>,
    ) -> Result<()> {
        let values: Vec<Option<T::T>> = column.values.iter().map(|entry| value(entry)).collect();
        let present: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
        let values: Vec<T::T> = values.into_iter().flatten().collect();
        writer.typed::<T>().write_batch(&values, Some(&present), None)?;
        Ok(())
    }
}

/// What another implementation of the format reads.
#[cfg(all(test, feature = "parquet"))]
mod tests {
    use super::*;
    use parquet2::deserialize::{BinaryPageState, BooleanPageState, NativePageState, OptionalValues};
    use parquet2::page::{DataPage, Page};
    use parquet2::read::{PageReader, decompress, get_page_iterator, read_metadata};
    use parquet2::schema::types::PhysicalType;
    use serde_json::{Value, json};
    use std::io::Cursor;

    fn page(file: &mut Cursor<&[u8]>, column: &parquet2::metadata::ColumnChunkMetaData) -> DataPage {
        let pages: PageReader<_> = get_page_iterator(column, file, None, Vec::new(), 1 << 20).expect("the column has pages");
        let mut data = pages.map(|page| match decompress(page.expect("a page"), &mut Vec::new()).expect("not compressed") {
            Page::Data(page) => page,
            Page::Dict(_) => panic!("there is no dictionary"),
        });
        let first = data.next().expect("a page of data");
        assert!(data.next().is_none(), "these columns fit one page");
        first
    }

    fn values(page: &DataPage, physical: PhysicalType) -> Vec<Value> {
        match physical {
            PhysicalType::Boolean => match BooleanPageState::try_new(page).expect("booleans") {
                BooleanPageState::Optional(present, values) => together(present, values.map(Value::from)),
                BooleanPageState::Required(..) => panic!("columns are optional"),
            },
            PhysicalType::Int64 => match NativePageState::<i64, ()>::try_new(page, None).expect("integers") {
                NativePageState::Optional(present, values) => together(present, values.map(Value::from)),
                _ => panic!("columns are optional and plain"),
            },
            PhysicalType::Double => match NativePageState::<f64, ()>::try_new(page, None).expect("doubles") {
                NativePageState::Optional(present, values) => together(present, values.map(Value::from)),
                _ => panic!("columns are optional and plain"),
            },
            PhysicalType::ByteArray => match BinaryPageState::<()>::try_new(page, None).expect("texts") {
                BinaryPageState::Optional(present, values) => {
                    let text = |bytes: Result<&[u8], _>| Value::from(str::from_utf8(bytes.expect("a text")).expect("UTF-8"));
                    together(present, values.map(text))
                }
                _ => panic!("columns are optional and plain"),
            },
            other => panic!("{other:?} is never written"),
        }
    }

    fn together(present: parquet2::deserialize::DefLevelsDecoder, values: impl Iterator<Item = Value>) -> Vec<Value> {
        let parquet2::deserialize::DefLevelsDecoder::Bitmap(runs) = present else { panic!("columns are flat") };
        let mut levels = Vec::new();
        for run in runs {
            match run.expect("a run") {
                parquet2::deserialize::HybridEncoded::Bitmap(bits, length) => {
                    levels.extend((0..length).map(|bit| bits[bit / 8] >> (bit % 8) & 1 == 1));
                }
                parquet2::deserialize::HybridEncoded::Repeated(present, length) => levels.extend(vec![present; length]),
            }
        }
        let levels = levels.into_iter().map(Ok);
        OptionalValues::new(levels, values).map(|value| value.expect("a level").unwrap_or(Value::Null)).collect()
    }

    #[test]
    fn another_reader_finds_names_types_and_values() {
        let row =
            |fields: &[(&str, Value)]| -> Row { fields.iter().map(|(name, value)| ((*name).into(), value.clone())).collect() };
        let rows = [
            row(&[
                ("axes.cores", json!(1)),
                ("throughput_rps.mean", json!(90568.0)),
                ("applicable", json!(true)),
                ("reason", Value::Null),
            ]),
            row(&[
                ("axes.cores", json!(2)),
                ("throughput_rps.mean", Value::Null),
                ("applicable", json!(false)),
                ("reason", json!("why, \"ü\"")),
            ]),
            row(&[("axes.cores", json!(-4)), ("throughput_rps.mean", json!(3)), ("seed", json!(u64::MAX)), ("mixed", json!("a"))]),
        ];
        let bytes = bytes(&rows).expect("written");
        assert_eq!(bytes, super::bytes(&rows).expect("written"), "the same bytes twice");
        let mut file = Cursor::new(&bytes[..]);
        let metadata = read_metadata(&mut file).expect("another reader understands the file");
        assert_eq!(metadata.num_rows, 3);
        let mut found = Vec::new();
        for column in metadata.row_groups[0].columns() {
            let page = page(&mut file, column);
            found.push((column.descriptor().path_in_schema.join("/"), values(&page, column.physical_type())));
        }
        let expected = [
            ("axes.cores", vec![json!(1), json!(2), json!(-4)]),
            ("throughput_rps.mean", vec![json!(90568.0), Value::Null, json!(3.0)]),
            ("seed", vec![Value::Null, Value::Null, json!(u64::MAX as f64)]),
            ("mixed", vec![Value::Null, Value::Null, json!("a")]),
            ("applicable", vec![json!(true), json!(false), Value::Null]),
            ("reason", vec![Value::Null, json!("why, \"ü\""), Value::Null]),
        ];
        assert_eq!(found, expected.map(|(name, values)| (name.to_owned(), values)));
    }
}
